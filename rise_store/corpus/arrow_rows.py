"""Batches of Arrow columns -> rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rise_store.corpus.plain_values import plain_value
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.records import RowOrigin

ROWS_A_BATCH = 64
"""Rows that are held as Python objects at a time."""


@dataclass(frozen=True)
class _Unreadable:
    reason: str


def require_distinct(columns: tuple[str, ...], what: str) -> tuple[str, ...]:
    """The columns, each of which has a name of its own.

    Raises:
        InputError: two have the same name.
    """
    twice = next((name for number, name in enumerate(columns) if name in columns[:number]), None)
    if twice is not None:
        raise InputError(f"{what}: two columns are named {twice!r}; give each a name of its own")
    return columns


def batch_rows(batch: Any, first: int, file: str) -> Iterator[RawRow | RejectedRow]:
    """The rows of a record batch or table, the first of which has the number `first` in its file."""
    columns = {name: _values(batch.column(number)) for number, name in enumerate(batch.schema.names)}
    for index in range(batch.num_rows):
        row = first + index
        location = f"{file}:{row}"
        origin = RowOrigin(file=file, row=row)
        fields = {name: values[index] for name, values in columns.items()}
        broken = next((name for name, value in fields.items() if isinstance(value, _Unreadable)), None)
        if broken is None:
            yield RawRow(fields, origin, location)
        else:
            yield RejectedRow(location, f"{location}: field {broken!r} cannot be read: {fields[broken].reason}", origin)


def _values(column: Any) -> list[Any]:
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):  # Arrow's own errors are ValueErrors
        values = [_value(cell) for cell in column]
    if "map<" in str(column.type):
        values = [value if isinstance(value, _Unreadable) else _with_objects(value, column.type) for value in values]
    return [value if isinstance(value, str | int | float) else plain_value(value) for value in values]


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError) as error:
        return _Unreadable(" ".join(str(error).split())[:200])


def _with_objects(value: Any, kind: Any) -> Any:
    """The value of a type with maps in it, which Arrow gives as lists of pairs."""
    from pyarrow import types

    if value is None:
        return None
    if types.is_map(kind):
        return {key: _with_objects(item, kind.item_type) for key, item in value}
    if types.is_struct(kind):
        return {field.name: _with_objects(value[field.name], field.type) for field in kind}
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return [_with_objects(item, kind.value_type) for item in value]
    return value
