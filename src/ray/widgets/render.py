"""Templates of HTML: files in which `{{ name }}` stands for a value."""

from __future__ import annotations

import re
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "templates"
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Template:
    """One of the files in `templates/`.

    Raises:
        FileNotFoundError: there is no file of this name.
    """

    def __init__(self, file: str) -> None:
        self.template = (_DIRECTORY / file).read_text()

    def render(self, **kwargs: str | list[str]) -> str:
        """The text with each name replaced by its value, or by the lines of a list; "" for names without one.

        Values are HTML: who passes text of others escapes it.
        """

        def value_of(place: re.Match[str]) -> str:
            value = kwargs.get(place[1]) or ""
            return "\n".join(value) if isinstance(value, list) else str(value)

        return _PLACE.sub(value_of, self.template)

    @staticmethod
    def list_templates() -> list[Path]:
        return sorted(_DIRECTORY.glob("*.html.j2"))
