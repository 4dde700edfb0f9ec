"""`ray memory`: who holds which objects, and how full the object stores are."""

from __future__ import annotations

import click

from ray._private.memory_report import GROUPS, SORTS, UNITS
from ray.scripts.where import ADDRESS, cluster_address


@click.command()
@ADDRESS
@click.option("--group-by", type=click.Choice(list(GROUPS)), default="NODE_ADDRESS")
@click.option("--sort-by", type=click.Choice(list(SORTS)), default="OBJECT_SIZE")
@click.option("--units", type=click.Choice(list(UNITS)), default="B")
@click.option("--no-format", is_flag=True, help="Lines are never wrapped here: no effect.")
@click.option("--stats-only", is_flag=True, help="Only the object stores' totals.")
@click.option("--num-entries", "--n", type=click.IntRange(min=0), help="References shown of each group; default: all.")
@click.option("--redis_password", "--redis-password", hidden=True, help="Of another time: ignored.")
def memory(
    address: str | None,
    group_by: str,
    sort_by: str,
    units: str,
    no_format: bool,
    stats_only: bool,
    num_entries: int | None,
    redis_password: str | None,
) -> None:
    """Show which processes hold references to objects."""
    from ray._private.internal_api import memory_summary
    from ray.util.state.exception import RayStateApiException

    try:
        text = memory_summary(
            cluster_address(address), None, group_by, sort_by, units, not no_format, stats_only, num_entries
        )
    except (OSError, RayStateApiException) as error:
        raise click.ClickException(str(error)) from error
    click.echo(text)
