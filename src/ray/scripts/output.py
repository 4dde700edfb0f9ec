"""How commands talk: plain lines for people, or records for logs.

Source: `ray start --help`: --log-style auto|record|pretty, --log-color auto|false|true, -v.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Output:
    """Where a command writes. One per process: the options of the command set it up."""

    def __init__(self) -> None:
        self.style = "auto"
        self.color = "auto"
        self.verbosity = 0
        self._indent = 0

    @property
    def is_record(self) -> bool:
        return self.style == "record" or (self.style == "auto" and not sys.stdout.isatty())

    @property
    def is_colored(self) -> bool:
        return self.color == "true" or (self.color == "auto" and sys.stdout.isatty() and "NO_COLOR" not in os.environ)

    def print(self, text: str = "", *, severity: str = "INFO", err: bool = False, **style: Any) -> None:
        """One line (or several). An empty one only where people read."""
        shown = click.style(text, **style) if style and self.is_colored else text
        if not self.is_record:
            click.echo("  " * self._indent + shown, err=err)
        elif text.strip():
            frame = sys._getframe(1)
            where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
            click.echo(f"{now}\t{severity} {where} -- {shown}", err=err)

    def success(self, text: str) -> None:
        self._framed(text, "SUCC", "green")

    def failure(self, text: str) -> None:
        self._framed(text, "ERR", "red")

    def _framed(self, text: str, severity: str, color: str) -> None:
        for line in ("-" * len(text), text, "-" * len(text)):
            self.print(line, severity=severity, fg=color)

    def warning(self, text: str) -> None:
        self.print(text, severity="WARNING", err=True, fg="yellow")

    def error(self, text: str) -> None:
        self.print(text, severity="ERR", err=True, fg="red")

    def abort(self, text: str) -> NoReturn:
        """Say what is wrong and end with status 1."""
        raise click.ClickException(text)

    def group(self, title: str) -> _Group:
        return _Group(self, title)


class _Group:
    """`with out.group("Next steps"):` indents what is printed inside."""

    def __init__(self, out: Output, title: str) -> None:
        self._out = out
        out.print(title, fg="cyan")

    def __enter__(self) -> None:
        self._out._indent += 1

    def __exit__(self, *_: object) -> None:
        self._out._indent -= 1


out = Output()


def with_options(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Add these options to a command; its help shows them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    return lambda context, parameter, value: setattr(out, name, value)


output_options = with_options(
    click.option(
        "--log-style",
        type=click.Choice(["auto", "record", "pretty"], case_sensitive=False),
        default="auto",
        expose_value=False,
        callback=_store("style"),
        help="'pretty' for people, 'record' for logs; 'auto' asks whether the output is a terminal.",
    ),
    click.option(
        "--log-color",
        type=click.Choice(["auto", "false", "true"], case_sensitive=False),
        default="auto",
        expose_value=False,
        callback=_store("color"),
        help="Whether to colour the output.",
    ),
    click.option("-v", "--verbose", count=True, expose_value=False, callback=_store("verbosity")),
)
"""The options that say how a command talks."""
