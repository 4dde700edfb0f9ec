"""`request_resources`. Source: Ray docs, "Programmatic cluster scaling"."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ray._core.common import messages as m
from ray._private.auto_init_hook import auto_init_core
from ray._private.label_utils import validate_label_selector
from ray._private.ray_constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL


def request_resources(
    num_cpus: int | None = None,
    bundles: Sequence[Mapping[str, float]] | None = None,
    bundle_label_selectors: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Say what the cluster should have room for, in place of what was said before; nothing, without arguments.

    Nothing adds nodes here; `ray status` shows the request to who does.

    Raises:
        TypeError, ValueError: what was given is no such request.
    """
    if num_cpus is not None and not isinstance(num_cpus, int):
        raise TypeError("num_cpus should be of type int.")
    _check(bundles, bundle_label_selectors)
    wanted = [{"CPU": 1}] * (num_cpus or 0) + [dict(bundle) for bundle in bundles or []]
    value = json.dumps(wanted).encode()
    auto_init_core().ask_gcs(m.KvPut(namespace="", key=AUTOSCALER_RESOURCE_REQUEST_CHANNEL, value=value))


def _check(bundles: Any, selectors: Any) -> None:
    if bundles is not None:
        if not isinstance(bundles, list):
            raise TypeError("bundles should be of type List")
        for bundle in bundles:
            if not isinstance(bundle, dict):
                raise TypeError("each bundle should be a Dict.")
            if not all(isinstance(amount, (int, float)) for amount in bundle.values()):
                raise TypeError("each bundle value should be a number (int or float).")
    if selectors is not None:
        if len(selectors) != len(bundles or []):
            raise ValueError("`bundle_label_selector` must be a list with length equal to the number of bundles.")
        for selector in selectors:
            wrong = validate_label_selector(selector)
            if wrong:
                raise ValueError(wrong)
