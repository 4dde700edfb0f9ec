"""`ray explain`: why something waits."""

from __future__ import annotations

import click

from ray.scripts.where import ADDRESS, cluster_address


@click.command()
@click.argument("id")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds in which all must be found out.")
@ADDRESS
def explain(id: str, timeout: float, address: str | None) -> None:
    """Tell why an object, task or actor waits.

    ID, in hex, is that of an object, a task, an actor or a placement group.
    """
    import ray.util.state  # noqa: F401 - first, since state_source needs it whole
    from ray._core.common import waiting
    from ray._private.state_source import Source
    from ray.util.explaining import chain_of, subject_of
    from ray.util.state.exception import RayStateApiException

    try:
        chain = chain_of(subject_of(id), Source(cluster_address(address)), timeout)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from error
    except (OSError, RayStateApiException) as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(waiting.render(chain)))
