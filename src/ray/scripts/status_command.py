"""`ray status` and `ray health-check`."""

from __future__ import annotations

import datetime
import json
import sys
import time

import click

from ray._core.common import messages as m
from ray._core.node import membership
from ray._core.wire import auth, blocking
from ray.scripts.status_report import report, requested
from ray.scripts.where import ADDRESS, cluster_address, gcs

HEALTH_REPORT_EXPIRES_S = 10.0
"""A component that has been silent for longer is not healthy; they report each second."""


@click.command()
@ADDRESS
@click.option("-v", "--verbose", is_flag=True, help="Usage by node as well.")
@click.option("--redis_password", "--redis-password", hidden=True, help="Of another time: ignored.")
def status(address: str | None, verbose: bool, redis_password: str | None) -> None:
    """What the cluster has, what is used, and what waits."""
    with gcs(address) as client:
        began_at_s = time.monotonic()
        cluster: m.ClusterResources = client.request(m.GetClusterResources())
        took_s = time.monotonic() - began_at_s
        nodes, wanted = membership.list_nodes(client), requested(client.request)
    click.echo(report(cluster, nodes, datetime.datetime.now(), verbose=verbose, request_s=took_s, wanted=wanted))


@click.command("health-check")
@ADDRESS
@click.option("--component", type=click.Choice(["ray_client_server"]), help="Ask this one instead of the GCS.")
@click.option("--skip-version-check", is_flag=True, help="Another version of Ray is healthy too.")
@click.option("--redis_password", "--redis-password", hidden=True, help="Of another time: ignored.")
def health_check(
    address: str | None, component: str | None, skip_version_check: bool, redis_password: str | None
) -> None:
    """Exit with status 0 if the cluster answers, else 1."""
    try:
        with membership.open_client(cluster_address(address), "cli") as client:
            if not skip_version_check:
                membership.check_versions(membership.ask_cluster(client))
            client.request(m.Ping(), 10.0)
            if component:
                _check_component(client, component)
    except (OSError, ValueError, auth.AuthenticationFailed, blocking.RemoteError, membership.VersionMismatch) as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _check_component(client: blocking.Client, component: str) -> None:
    """Raises ConnectionError when the component has not written lately that it lives."""
    value = client.request(m.KvGet(namespace="healthcheck", key=component.encode()), 10.0).value
    if value is None:
        raise ConnectionError(f"{component} has never reported its health: it does not run.")
    silent_s = time.time() - json.loads(value)["time"]
    if silent_s > HEALTH_REPORT_EXPIRES_S:
        raise ConnectionError(f"{component} has not reported its health for {silent_s:.0f} s: it has died or hangs.")
