"""Which rich output can be shown here, and tables as HTML.

Source: Ray's helpers of these names; packages are told as pairs (name, least version or None).
"""

from __future__ import annotations

import functools
import html
import importlib.metadata
import logging
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ray.widgets.render import Template

logger = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])
Dependency = Iterable[str | None]


def make_table_html_repr(obj: Any, title: str | None = None, max_height: str = "none") -> str:
    """A table of an object's attributes.

    Args:
        title: shown above it.
        max_height: in the words of CSS; a longer table scrolls.
    """
    rows = [("Setting", "Value"), *vars(obj).items()]
    head, *body = [[html.escape(str(cell)) for cell in row] for row in rows]
    lines = ["<table>", f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>", "<tbody>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in body]
    table = Template("scrollableTable.html.j2").render(table=[*lines, "</tbody>", "</table>"], max_height=max_height)
    if title is None:
        return table
    return Template("title_data.html.j2").render(title=html.escape(title), data=table)


def repr_with_fallback(*notebook_deps: Dependency) -> Callable[[F], F]:
    """For `_repr_mimebundle_`: give plain text where rich output cannot be shown.

    That is in IPython's shell, in Colab, and in notebooks without the packages that it takes.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_fallback(self: Any, *args: Any, **kwargs: Any) -> Any:
            if in_ipython_shell() or "google.colab" in sys.modules or not _can_display_ipywidgets(*notebook_deps):
                return {"text/plain": repr(self)}
            return function(self, *args, **kwargs)

        return with_fallback  # type: ignore[return-value]

    return decorate


def _can_display_ipywidgets(*deps: Dependency, message: str | None = None) -> bool:
    """Whether this is a notebook that has these packages. `message`: logged when it has not."""
    return in_notebook() and not _has_missing(*deps, message=message) and not _has_outdated(*deps, message=message)


def _has_missing(*deps: Dependency, message: str | None = None) -> list[str]:
    """Names of packages that are not installed."""
    missing = [name for name, _ in map(tuple, deps) if name is not None and _version_of(name) is None]
    if missing:
        logger.info("Missing packages: %s. %s", missing, message or _advice(missing))
    return missing


def _has_outdated(*deps: Dependency, message: str | None = None) -> list[str]:
    """Names of packages whose versions are too old; those that are not installed are left out."""
    outdated = []
    for name, least in map(tuple, deps):
        if name is None or least is None:
            continue
        version = _version_of(name)
        if version is not None and _numbers(version) < _numbers(least):
            outdated.append(name)
    if outdated:
        logger.info("Outdated packages: %s. %s", outdated, message or _advice(outdated))
    return outdated


def _advice(names: list[str]) -> str:
    return f"Run `pip install -U {' '.join(names)}`, then restart the notebook server for rich notebook output."


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> list[int]:
    found = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in found[0].split(".")] if found else []


def _get_ipython_shell_name() -> str:
    """The class of IPython's shell in this process; "" outside of IPython."""
    if "IPython" not in sys.modules:
        return ""
    shell = sys.modules["IPython"].get_ipython()
    return "" if shell is None else type(shell).__name__


def in_notebook(shell_name: str | None = None) -> bool:
    """Whether this process is the kernel of a notebook."""
    return (shell_name or _get_ipython_shell_name()) == "ZMQInteractiveShell"


def in_ipython_shell(shell_name: str | None = None) -> bool:
    """Whether a person types into IPython in a terminal."""
    return (shell_name or _get_ipython_shell_name()) == "TerminalInteractiveShell"
