"""Whether the fields that a mapping names are there at all: one error rather than a million rejected rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rise_store.corpus.field_paths import Path, join_path, leads_to, listed
from rise_store.corpus.mapping import CONTENT, FieldMapping
from rise_store.errors import InputError

FIRST_ROWS = 100
"""Rows of which one must have each field that the text or the id is made of."""


def check_columns(mapping: FieldMapping, columns: Sequence[str], source: str) -> None:
    """Refuse a table that lacks a column that the mapping names, or has none that holds a text.

    Raises:
        InputError: names the source and its columns.
    """
    for path in mapping.sources:
        if path[0] not in columns:
            raise InputError(f"{source}: there is no column {path[0]!r}; its columns: {listed(columns)}")
    if not mapping.gives_content and not CONTENT.intersection(columns):
        raise InputError(
            f"{source}: no column holds the text; name it with --map text=COLUMN. Its columns: {listed(columns)}"
        )


def check_content(mapping: FieldMapping, mapped: Any, row: Any) -> None:
    """Refuse a mapped row without a text.

    Raises:
        InputError: without a location; names the fields that should have held it, and those that the row has.
    """
    if mapping.gives_content and isinstance(mapped, Mapping) and not any(mapped.get(name) for name in CONTENT):
        wanted = ", ".join(repr(join_path(source)) for target, source in mapping.fields if target[0] in CONTENT)
        raise InputError(
            f"the row has no text: {wanted or 'what the template gives'} is missing or empty; "
            f"its fields: {listed(map(str, row))}"
        )


class FieldCheck:
    """Watches the first rows that are read for the fields that a mapping needs."""

    def __init__(self, mapping: FieldMapping) -> None:
        self._missing: set[Path] = set(mapping.needed)
        self._names: dict[str, None] = {}
        self._rows = 0

    def saw(self, row: Any, location: str) -> None:
        """Count a row.

        Raises:
            InputError: it is the last of the first rows, and none of them has a field.
        """
        if not self._missing or not isinstance(row, Mapping):
            return
        self._rows += 1
        self._names |= dict.fromkeys(map(str, row))
        self._missing = {path for path in self._missing if not leads_to(row, path)}
        if self._rows >= FIRST_ROWS:
            self.finish(location)

    def finish(self, location: str) -> None:
        """Say what is missing where nothing more is read.

        Raises:
            InputError: none of the rows has a field.
        """
        if not self._missing or not self._rows:
            return
        path, names = join_path(min(self._missing)), listed(self._names)
        raise InputError(f"{location}: none of the first {self._rows} rows has a field {path!r}; their fields: {names}")
