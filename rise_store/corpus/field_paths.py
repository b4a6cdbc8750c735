"""Dotted paths into a row, such as `meta.author` or `turns.0.text`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

Path = tuple[str, ...]

MISSING: Final = object()
"""What stands at a path that leads nowhere, and at one that leads to null."""

_NAMED = 20  # fields that a message names at most


def parse_path(text: str) -> Path | None:
    """The names of a dotted path; `\\.` is a dot within a name and `\\\\` a backslash. None where a name is empty."""
    names = [""]
    rest = iter(text)
    for letter in rest:
        if letter == "\\":
            names[-1] += next(rest, "\\")
        elif letter == ".":
            names.append("")
        else:
            names[-1] += letter
    return tuple(names) if all(names) else None


def join_path(path: Path) -> str:
    """The text that `parse_path` reads as this path."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in path)


def split_escaped(text: str, separator: str) -> list[str]:
    """The parts between separators that no backslash stands before; backslashes stay, before a separator they go."""
    parts = [""]
    rest = iter(text)
    for letter in rest:
        if letter == "\\":
            following = next(rest, "")
            parts[-1] += following if following == separator else letter + following
        elif letter == separator:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def value_at(row: Any, path: Path) -> Any:
    """What stands at a path: names lead into objects, whole numbers into lists (from 0); else `MISSING`."""
    value = row
    for name in path:
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list | tuple) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return MISSING if value is None else value


def leads_to(row: Any, path: Path) -> bool:
    """Whether something stands at a path, be it null."""
    value = row
    for name in path:
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list | tuple) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return False
    return True


def listed(names: Iterable[str]) -> str:
    """The first names, for a message."""
    all_names = list(names)
    return ", ".join(map(repr, all_names[:_NAMED])) + (" ..." if len(all_names) > _NAMED else "")
