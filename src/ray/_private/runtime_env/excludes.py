"""Which files of a directory are left out of its package: gitignore rules. Pure.

Source: https://git-scm.com/docs/gitignore, "Pattern format". Of the rules of one list, the last that matches decides;
what lies below an excluded directory cannot be taken back in.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    pattern: re.Pattern[str]
    negated: bool
    only_directories: bool


class Rules:
    """One list of gitignore lines, relative to one directory. Paths are posix, relative to that directory too."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules = [rule for line in lines if (rule := parse(line)) is not None]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def verdict(self, path: str, is_dir: bool) -> bool | None:
        """True: excluded. False: a later rule with "!" takes it in again. None: no rule is about it."""
        for rule in reversed(self._rules):
            if (is_dir or not rule.only_directories) and rule.pattern.fullmatch(path):
                return not rule.negated
        return None

    def excludes(self, path: str, is_dir: bool) -> bool:
        """Whether `path`, whose parents are not excluded, is."""
        return bool(self.verdict(path, is_dir))


def parse(line: str) -> Rule | None:
    """One line as a rule; None for an empty line or a comment."""
    text = _without_trailing_blanks(line.rstrip("\n\r"))
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    if negated or text.startswith(("\\#", "\\!")):
        text = text[1:]
    only_directories = text.endswith("/")
    text = text.rstrip("/") if only_directories else text
    if not text:
        return None
    anchored = "/" in text
    expression = _translate(text.lstrip("/"))
    if not anchored:
        expression = f"(?:.*/)?{expression}"
    return Rule(re.compile(expression, re.DOTALL), negated, only_directories)


def _without_trailing_blanks(text: str) -> str:
    """Blanks at the end do not count, unless a backslash stands before them."""
    stripped = text.rstrip(" ")
    if stripped.endswith("\\") and len(stripped) < len(text):
        return stripped + " "
    return stripped


def _translate(text: str) -> str:
    """A glob with slashes as a regular expression."""
    parts = text.split("/")
    expression = ""
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**":
            expression += ".+" if is_last else "(?:.*/)?"
            continue
        expression += _translate_name(part) + ("" if is_last else "/")
    return expression


def _translate_name(glob: str) -> str:
    """One path component: `*`, `?`, `[…]` and backslash escapes; none of them matches a slash."""
    expression, index = "", 0
    while index < len(glob):
        character = glob[index]
        index += 1
        if character == "*":
            while glob[index : index + 1] == "*":
                index += 1
            expression += "[^/]*"
        elif character == "?":
            expression += "[^/]"
        elif character == "\\" and index < len(glob):
            expression += re.escape(glob[index])
            index += 1
        elif character == "[" and (end := _end_of_class(glob, index)) > 0:
            expression += _translate_class(glob[index:end])
            index = end + 1
        else:
            expression += re.escape(character)
    return expression


def _end_of_class(glob: str, start: int) -> int:
    """Where the `]` is that ends a class whose content begins at `start`; -1 for none. A first `]` is content."""
    index = start
    if glob[index : index + 1] in ("!", "^"):
        index += 1
    return glob.find("]", index + 1)


def _translate_class(content: str) -> str:
    negation = "^/" if content[0] in "!^" else ""
    content = content[1:] if content[0] in "!^" else content
    return f"[{negation}" + content.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]") + "]"
