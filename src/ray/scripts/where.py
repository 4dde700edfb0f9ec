"""Which cluster a command means: its flag, RAY_ADDRESS, or what runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ray._core.node import membership, session_dir
from ray._core.wire import auth, blocking

ADDRESS = click.option("--address", help="host:port of the cluster's GCS; default: RAY_ADDRESS, or what runs here.")


def cluster_address(given: str | None) -> str:
    """ "host:port" of the GCS.

    Raises:
        ConnectionError: none was named, and none runs here.
    """
    address = given or os.environ.get("RAY_ADDRESS") or "auto"
    if address not in ("auto", "local"):
        return address.removeprefix("http://")
    recorded = session_dir.read_current_cluster(session_dir.temp_dir())
    if not recorded:
        raise ConnectionError(
            "Could not find any running Ray instance. Please specify the one to connect to by setting `--address` "
            "flag or `RAY_ADDRESS` environment variable."
        )
    return recorded


@contextmanager
def gcs(given: str | None) -> Iterator[blocking.Client]:
    """A connection to the GCS; what goes wrong ends the command with status 1 and its reason."""
    try:
        with membership.open_client(cluster_address(given), "cli") as client:
            yield client
    except auth.AuthenticationFailed as error:
        from ray._core.common.errors import AuthenticationError

        raise click.ClickException(str(AuthenticationError(str(error)))) from error
    except (OSError, ValueError, blocking.RemoteError) as error:
        raise click.ClickException(str(error)) from error
