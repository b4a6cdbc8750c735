"""Filters of the store as filters of the two engines, which then mean what `rise_store.store.filters` says.

Strings are equal; booleans are equal; numbers are equal as numbers (1 and 1.0 are), floats to within 2 units in the
last place because the engines round stored ones that much; a float as a bound is held to the same. Values of
different kinds are never equal: True is not 1. A date is any string that the engine reads as one, to the microsecond:
`YYYY-MM-DD`, alone or before a time of day with or without an offset; without one it is UTC.

An index changes no answer, but for an integer index over values that are not integers: it does not see them.
All facts about the engines in here were measured with qdrant-edge-py 0.9.0 and qdrant-client 1.20.0; a server must be
of release 1.19 or later to know `Prefix`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar, cast

import qdrant_edge as edge

from rise_store.errors import FilterError
from rise_store.store.backend import IndexKind
from rise_store.store.dialects import EDGE, Dialect, client_dialect
from rise_store.store.filters import And, DateRange, Equals, Exists, Filter, In, Not, Or, Prefix, Range, Scalar
from rise_store.store.paths import engine_path, join_path, parse_path
from rise_store.store.payload import INDEXED_FIELDS, flag

if TYPE_CHECKING:
    from qdrant_client import models

# Integers of smaller magnitude are exact in float64, the type in which the engines compare ranges.
_EXACT_INTEGERS = 2**53

Bound = TypeVar("Bound", float, datetime)


def to_edge(where: Filter | None, indexes: Mapping[str, IndexKind] = INDEXED_FIELDS) -> edge.Filter | None:
    """`where` as a filter of the embedded engine, for a collection with these indexes.

    `FilterError` for a field, value or bound that it cannot express, and for a comparison that an index would answer
    wrongly.
    """
    return None if where is None else cast(edge.Filter, _Translation(EDGE, indexes).whole(where))


def to_client(where: Filter | None, indexes: Mapping[str, IndexKind] = INDEXED_FIELDS) -> models.Filter | None:
    """`where` as a filter of `qdrant_client`; otherwise like `to_edge`."""
    return None if where is None else cast("models.Filter", _Translation(client_dialect(), indexes).whole(where))


class _Translation:
    def __init__(self, dialect: Dialect, indexes: Mapping[str, IndexKind]) -> None:
        self._say = dialect
        self._indexes = indexes

    def whole(self, where: Filter) -> Any:
        """`where` as a filter of the engine, which can stand alone or as a condition in another one."""
        match where:
            case Equals(field, value):
                return self._say.all_of([self._equals(field, value)])
            case In(field, values):
                return self._one_of(field, values)
            case Range():
                return self._say.all_of([self._range(where)])
            case DateRange():
                return self._say.all_of([self._dates(where)])
            case Prefix(field, prefix):
                _check_text(field, prefix, "start with")
                return self._say.all_of([self._say.starts(engine_path(field), prefix)])
            case Exists(field):
                return self._say.none_of([self._say.empty(engine_path(field))])
            case Not(part):
                return self._say.none_of([self.whole(part)])
            case And(parts):
                return self._say.all_of([self.whole(part) for part in parts])
            case Or(parts):
                return self._any_of([self.whole(part) for part in parts])
        raise FilterError(f"{where!r} is not a filter: build one of those in rise_store.store.filters")

    def _any_of(self, parts: list[Any]) -> Any:
        # An empty `should` matches everything, but no alternative holds where there are none.
        return self._say.any_of(parts) if parts else self._nothing()

    def _nothing(self) -> Any:
        return self._say.none_of([self._say.all_of([])])

    def _one_of(self, field: str, values: Sequence[Scalar]) -> Any:
        texts = [value for value in values if isinstance(value, str)]
        parts = [self._equals(field, value) for value in values if not isinstance(value, str)]
        for text in texts:
            _check_text(field, text, "equal")
        if texts:
            parts.append(self._say.one_of(engine_path(field), texts))
        return self._any_of(parts)

    def _equals(self, field: str, value: Scalar) -> Any:
        if isinstance(value, bool):
            # The embedded engine takes True for the integer 1 and matches no boolean.
            return self._say.same("flags", flag(field, value))
        path = engine_path(field)
        if isinstance(value, str):
            _check_text(field, value, "equal")
            return self._say.same(path, value)
        if isinstance(value, int) and abs(value) >= _EXACT_INTEGERS:
            if -(2**63) <= value < 2**63:
                return self._say.same(path, value)
            if abs(value) >= 2**64:
                return self._nothing()
            value = float(value)  # the engines match no integer beyond int64; they compare stored ones as float64
        if isinstance(value, (int, float)) and math.isfinite(value):
            return self._range(Range(field, gte=value, lte=value))
        raise FilterError(f"{field} cannot equal {value!r}: compare with a string, a boolean or a finite number")

    def _range(self, where: Range) -> Any:
        self._refuse_index(where.field, ("datetime",), "a number")
        shifted = {
            "gt": _shifted(where.field, where.gt, +1),
            "gte": _shifted(where.field, where.gte, -1),
            "lt": _shifted(where.field, where.lt, -1),
            "lte": _shifted(where.field, where.lte, +1),
        }
        return self._say.numbers(engine_path(where.field), _tightest(shifted))

    def _dates(self, where: DateRange) -> Any:
        self._refuse_index(where.field, ("integer", "float"), "a date")
        bounds = {"gt": where.gt, "gte": where.gte, "lt": where.lt, "lte": where.lte}
        moments = {name: _utc(where.field, bound) for name, bound in bounds.items()}
        return self._say.dates(engine_path(where.field), _tightest(moments))

    def _refuse_index(self, field: str, kinds: Sequence[IndexKind], value: str) -> None:
        # Such an index compares its own numbers (of a date, microseconds) with the bounds, whatever they mean.
        kind = self._indexes.get(join_path(parse_path(field)))
        if kind in kinds:
            fitting = "a date, such as 2026-01-05" if kind == "datetime" else "a number"
            raise FilterError(f"cannot compare {field} with {value}: it has an index of type {kind}. Use {fitting}")


def _tightest(bounds: dict[str, Bound | None]) -> dict[str, Bound]:
    """At most one bound on each side: of `gt` and `gte`, an index looks at `gt` alone, and so with `lt` and `lte`."""
    gt, gte, lt, lte = (bounds[name] for name in ("gt", "gte", "lt", "lte"))
    given = {
        "gt": gt if gt is not None and (gte is None or gt >= gte) else None,
        "gte": gte if gte is not None and (gt is None or gte > gt) else None,
        "lt": lt if lt is not None and (lte is None or lt <= lte) else None,
        "lte": lte if lte is not None and (lt is None or lte < lt) else None,
    }
    return {name: bound for name, bound in given.items() if bound is not None}


def _shifted(field: str, bound: float | None, direction: int) -> float | None:
    """A bound as the engine takes it; one that is given as a float is moved by the rounding of stored floats."""
    if bound is None or (isinstance(bound, int) and not isinstance(bound, bool) and abs(bound) <= sys.float_info.max):
        return None if bound is None else float(bound)
    if not isinstance(bound, float) or not math.isfinite(bound):
        raise FilterError(f"{field} cannot be compared with {bound!r}: use a finite number")
    towards = direction * math.inf
    moved = math.nextafter(math.nextafter(bound, towards), towards)
    return min(max(moved, -sys.float_info.max), sys.float_info.max)


def _utc(field: str, bound: datetime | None) -> datetime | None:
    if bound is None:
        return None
    if not isinstance(bound, datetime):
        raise FilterError(f"{field} cannot be compared with {bound!r} as a date: use a datetime")
    if bound.tzinfo is None:
        return bound.replace(tzinfo=timezone.utc)
    try:
        return bound.astimezone(timezone.utc)
    except OverflowError as error:
        raise FilterError(f"{field} cannot be compared with {bound}: that is outside the years 1 to 9999") from error


def _check_text(field: str, text: str, verb: str) -> None:
    if not isinstance(text, str):
        raise FilterError(f"{field} cannot {verb} {text!r}: use a string")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterError(f"{field} cannot {verb} {text!r}: it is not valid Unicode") from error
