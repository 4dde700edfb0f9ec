"""Speaking to the dashboard: where it is, what proves who asks, and packages to upload."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests

from ray._core.wire import auth
from ray._private.runtime_env import packaging
from ray.dashboard.modules.job.common import CURRENT_VERSION

DEFAULT_ADDRESS = "http://localhost:8265"
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
HEADERS_VARIABLE = "RAY_JOB_HEADERS"


def get_address_for_submission_client(address: str | None) -> str:
    """Where to ask: the argument, else RAY_API_SERVER_ADDRESS, else RAY_ADDRESS, else the default port here.

    "auto" and ray:// addresses are looked up through the cluster.
    """
    for variable in ADDRESS_VARIABLES:
        address = address or os.environ.get(variable)
    if address is None:
        return DEFAULT_ADDRESS
    if address == "auto" or address.startswith("ray://"):
        return _through_cluster(address)
    return address


def _through_cluster(address: str) -> str:
    import ray

    context = ray.init(address, ignore_reinit_error=True)
    url = context.dashboard_url
    if not url:
        raise ConnectionError(f"The cluster at {address!r} has no dashboard, which the job API needs.")
    return url if "://" in url else f"http://{url}"


def parse_address(address: str) -> str:
    """`host:port` means http. Raises ValueError for no HTTP address."""
    if "://" not in address:
        address = f"http://{address}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"Invalid address: {address!r}. The dashboard's address begins with http:// or https://.")
    return address.rstrip("/")


def cluster_info(
    address: str | None,
    cookies: Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
    headers: Mapping[str, Any] | None,
    create_cluster_if_needed: bool,
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Address, cookies and headers. A scheme that is none of ours names the module that knows them."""
    found = get_address_for_submission_client(address)
    scheme, separator, rest = found.partition("://")
    if separator and scheme not in ("http", "https"):
        module = importlib.import_module(scheme)
        info = module.get_job_submission_client_cluster_info(
            rest, create_cluster_if_needed=create_cluster_if_needed, cookies=cookies, metadata=metadata, headers=headers
        )
        return info.address, dict(info.cookies or {}), dict(info.headers or {})
    return parse_address(found), dict(cookies or {}), dict(headers or {})


class SubmissionClient:
    """A connection to one dashboard; HTTP errors become RuntimeError.

    Args:
        verify: of TLS certificates: bool, or the path of a bundle.
    """

    def __init__(
        self,
        address: str | None = None,
        create_cluster_if_needed: bool = False,
        cookies: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        verify: str | bool | None = True,
        **kwargs: Any,
    ) -> None:
        if headers is None and (text := os.environ.get(HEADERS_VARIABLE)):
            headers = json.loads(text)
        self._address, self._cookies, self._headers = cluster_info(
            address, cookies, metadata, headers, create_cluster_if_needed
        )
        self._default_metadata = dict(metadata or {})
        self._verify = verify
        if not any(name.lower() == "authorization" for name in self._headers):
            token = auth.load_token()
            if token:
                self._headers["Authorization"] = f"Bearer {token.decode()}"

    def _check_connection_and_version(self, min_version: str = "1.9", version_error_message: str = "") -> None:
        """Raises ConnectionError when nobody answers, or RuntimeError when it is no dashboard of a cluster."""
        try:
            response = self._do_request("GET", "/api/version")
        except requests.exceptions.ConnectionError as error:
            raise ConnectionError(f"Failed to connect to Ray at address: {self._address}.") from error
        if response.status_code == 404:
            raise RuntimeError(version_error_message or f"{self._address} does not have the job API.")
        self._raise_error_unless_ok(response)
        self._server = response.json()

    def _do_request(
        self, method: str, endpoint: str, *, data: bytes | BinaryIO | None = None, json_data: Any = None, **kwargs: Any
    ) -> requests.Response:
        return requests.request(
            method,
            f"{self._address}{endpoint}",
            cookies=self._cookies,
            headers=self._headers,
            data=data,
            json=json_data,
            verify=self._verify,
            **kwargs,
        )

    def _raise_error_unless_ok(self, response: requests.Response) -> None:
        if response.status_code != 200:
            self._raise_error(response)

    def _raise_error(self, response: requests.Response) -> None:
        raise RuntimeError(f"Request failed with status code {response.status_code}: {response.text}.")

    # ---------------------------------------------------------- packages

    def _store(self) -> packaging.Store:
        """The cluster's packages, through its dashboard."""

        def exists(uri: str) -> bool:
            response = self._do_request("GET", _package_path(uri))
            if response.status_code not in (200, 404):
                self._raise_error(response)
            return response.status_code == 200

        def put(uri: str, package: BinaryIO) -> None:
            self._raise_error_unless_ok(self._do_request("PUT", _package_path(uri), data=package))

        return packaging.Store(exists, put)

    def _upload_packages(self, runtime_env: dict[str, Any]) -> dict[str, Any]:
        """The environment with local directories and files replaced by the URIs of their packages."""
        from ray._private.runtime_env import job_env

        def refuse(key: str, blob: bytes) -> None:
            raise ValueError("worker_process_setup_hook must be a str ('module.function') for a submitted job.")

        return job_env.upload_fields(job_env.with_paths(runtime_env), self._store(), refuse)

    def get_version(self) -> str:
        """Of the REST API that this client speaks."""
        return CURRENT_VERSION

    def get_address(self) -> str:
        return self._address


def _package_path(uri: str) -> str:
    protocol, _, name = uri.partition("://")
    return f"/api/packages/{protocol}/{name}"


__all__ = ["SubmissionClient", "get_address_for_submission_client", "parse_address"]
