"""`KEY=VALUE` filters as users write them -> filters of the store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rise_store.errors import FilterError
from rise_store.store import And, Collection, Equals, Filter, Not, Or, resolve_field

KNOWN_FIELDS_SAMPLE = 200  # stored examples that are looked at to list known metadata fields


def parse_where(conditions: Sequence[str]) -> Filter | None:
    """A filter in which every `KEY=VALUE` holds; None without conditions.

    A key is one of our own payload fields or a metadata field, dotted where it is nested. A value matches the string;
    where it reads as a number or as true or false, it matches those too.

    Raises:
        FilterError: a condition without `=`, or an empty key.
    """
    parts = []
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals or not key.strip():
            raise FilterError(f"filter {condition!r} is not of the form KEY=VALUE, as in --where license=MIT")
        field = resolve_field(key.strip())
        parts.append(_any_reading(field, value.strip()))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def check_fields(where: Filter, collection: Collection) -> None:
    """Refuse a filter on a field that no stored example has: it is a typing error, and would match nothing.

    Raises:
        FilterError: names the field and those that exist.
    """
    for field in sorted(set(_fields(where))):
        if not collection.has_field(field):
            raise FilterError(
                f"no stored example has the field {field!r}; fields: {', '.join(_known_fields(collection))}"
            )


def _any_reading(field: str, value: str) -> Filter:
    readings: list[Filter] = [Equals(field, value)]
    if value in ("true", "false"):
        readings.append(Equals(field, value == "true"))
    number = _number(value)
    if number is not None:
        readings.append(Equals(field, number))
    return readings[0] if len(readings) == 1 else Or(tuple(readings))


def _number(value: str) -> int | float | None:
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _fields(where: Filter) -> Iterator[str]:
    if isinstance(where, And | Or):
        for part in where.parts:
            yield from _fields(part)
    elif isinstance(where, Not):
        yield from _fields(where.part)
    else:
        yield where.field


def _known_fields(collection: Collection) -> list[str]:
    fields: set[str] = set()
    for number, point in enumerate(collection.scroll()):
        if number >= KNOWN_FIELDS_SAMPLE:
            break
        fields |= {name for name in point.payload if name not in ("metadata", "flags", "text")}
        fields |= set(point.payload.get("metadata", {}))
    return sorted(fields)
