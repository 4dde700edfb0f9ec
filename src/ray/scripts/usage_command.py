"""`ray enable-usage-stats` and `ray disable-usage-stats`: the user's word in ~/.ray/config.json.

Nothing is ever reported, by this version or whatever the file says; other Rays on the machine heed it.
"""

from __future__ import annotations

import json
from pathlib import Path

import click


def _write(enabled: bool) -> None:
    path = Path.home() / ".ray" / "config.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps({**known, "usage_stats": enabled}))


@click.command("disable-usage-stats")
def disable_usage_stats() -> None:
    """Say that no Ray of this machine reports its usage."""
    _write(False)
    click.echo(
        "Usage stats disabled for future clusters. Restart any current running clusters for this to take effect."
    )


@click.command("enable-usage-stats")
def enable_usage_stats() -> None:
    """Allow it. This Ray reports nothing even then."""
    _write(True)
    click.echo("Usage stats enabled for future clusters. Restart any current running clusters for this to take effect.")
