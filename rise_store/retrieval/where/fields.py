"""Fields that filters speak of, and those that are stored."""

from __future__ import annotations

from collections.abc import Iterator

from rise_store.errors import FilterError
from rise_store.store import OWN_FIELDS, And, Collection, Exists, Filter, Not, Or

KNOWN_FIELDS_SAMPLE = 200  # stored examples that are looked at to list known metadata fields


def check_fields(where: Filter, collection: Collection) -> None:
    """Refuse a filter on a field that no stored example has: it is a typing error, and would match nothing or all.

    Our own fields are none, even where no example has a licence; and whether a field exists may always be asked.

    Raises:
        FilterError: names the field and those that exist.
    """
    for field in sorted(set(_fields(where))):
        if field not in OWN_FIELDS and not collection.has_field(field):
            raise FilterError(
                f"no stored example has the field {field!r}; fields: {', '.join(_known_fields(collection))}"
            )


def _fields(where: Filter) -> Iterator[str]:
    if isinstance(where, And | Or):
        for part in where.parts:
            yield from _fields(part)
    elif isinstance(where, Not):
        yield from _fields(where.part)
    elif not isinstance(where, Exists):
        yield where.field


def _known_fields(collection: Collection) -> list[str]:
    fields: set[str] = set()
    for number, point in enumerate(collection.scroll()):
        if number >= KNOWN_FIELDS_SAMPLE:
            break
        fields |= {name for name in point.payload if name not in ("metadata", "flags", "text")}
        fields |= set(point.payload.get("metadata", {}))
    return sorted(fields)
