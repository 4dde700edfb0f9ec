"""`ray stop`: end all Ray processes of this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from ray._core.node import processes, session_dir
from ray.scripts.output import out, output_options


@click.command()
@click.option("-f", "--force", is_flag=True, help="SIGKILL at once instead of SIGTERM.")
@click.option(
    "-g", "--grace-period", type=click.FloatRange(min=0), default=16, help="Seconds until SIGKILL follows SIGTERM."
)
@click.option("--temp-dir", type=click.Path(path_type=Path), help="Only nodes whose session is below this directory.")
@output_options
def stop(force: bool, grace_period: float, temp_dir: Path | None) -> None:
    """Stop the Ray processes of this machine."""
    found = processes.of_this_machine(temp_dir.resolve() if temp_dir else None)
    if not found:
        out.print("Did not find any active Ray processes.")
    else:
        _stop(found, force, grace_period)
    for temp in {Path(each.session_dir).parent for each in found if each.session_dir} | {
        temp_dir or session_dir.temp_dir()
    }:
        with contextlib.suppress(FileNotFoundError):
            (temp / session_dir.CURRENT_CLUSTER).unlink()


def _stop(found: list[processes.Process], force: bool, grace_period: float) -> None:
    ended, stubborn = processes.stop(found, grace_s=grace_period, force=force)
    if not stubborn:
        out.print(f"Stopped all {len(ended)} Ray processes.", severity="SUCC", fg="green")
        return
    out.warning(
        f"Stopped only {len(ended)} out of {len(found)} Ray processes within the grace period {grace_period:g} seconds."
    )
    out.warning("Set `-v` to see more details. The rest has been killed.")
    if out.verbosity:
        for process in stubborn:
            out.print(f"{process.pid}: {process.name}")
