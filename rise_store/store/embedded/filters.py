"""Filters as Qdrant takes them.

What `Equals` means, for the value at the path or, where it is a list, for any of its elements:
strings are equal; booleans are equal; numbers are equal as numbers (1 and 1.0 are), floats to within 2 units in the
last place because the engine rounds stored ones that much. Values of different kinds are never equal: True is not 1.
"""

from __future__ import annotations

import math
import sys

import qdrant_edge as edge

from rise_store.errors import FilterError
from rise_store.store.filters import And, Equals, Filter, Or
from rise_store.store.paths import engine_path
from rise_store.store.payload import flag

# Integers of smaller magnitude are exact in float64, the type in which the engine compares ranges.
_EXACT_INTEGERS = 2**53


def to_edge(where: Filter | None) -> edge.Filter | None:
    """`where` as a filter of the embedded engine; `FilterError` for a field or value that it cannot express."""
    match where:
        case None:
            return None
        case Equals(field, value):
            return edge.Filter(must=[_condition(field, value)])
        case And(parts):
            return edge.Filter(must=[_translate(part) for part in parts])
        case Or(parts):
            # An empty `should` matches everything, but no alternative holds where there are none.
            return edge.Filter(should=[_translate(part) for part in parts]) if parts else _nothing()
    raise FilterError(f"{where!r} is not a filter: build one of Equals, And, Or")


def _translate(part: Filter) -> edge.Filter:
    translated = to_edge(part)
    if translated is None:
        raise FilterError("None is not a filter inside And or Or")
    return translated


def _condition(field: str, value: str | int | float | bool) -> edge.FieldCondition | edge.Filter:
    if isinstance(value, bool):
        # The engine takes True for the integer 1 and matches no boolean (qdrant-edge-py 0.9.0).
        return edge.FieldCondition(key="flags", match=edge.MatchValue(flag(field, value)))
    path = engine_path(field)
    if isinstance(value, str):
        _check_text(field, value)
        return edge.FieldCondition(key=path, match=edge.MatchValue(value))
    if isinstance(value, int):
        return _equals_integer(path, value)
    if isinstance(value, float) and math.isfinite(value):
        return edge.FieldCondition(key=path, range=_around(value))
    raise FilterError(f"{field} cannot equal {value!r}: compare with a string, a boolean or a finite number")


def _equals_integer(path: str, value: int) -> edge.FieldCondition | edge.Filter:
    if abs(value) < _EXACT_INTEGERS:
        return edge.FieldCondition(key=path, range=edge.RangeFloat(gte=float(value), lte=float(value)))
    if -(2**63) <= value < 2**63:
        return edge.FieldCondition(key=path, match=edge.MatchValue(value))
    # The engine matches no integer beyond int64; it compares stored ones as float64.
    return edge.FieldCondition(key=path, range=_around(float(value))) if abs(value) < 2**64 else _nothing()


def _around(value: float) -> edge.RangeFloat:
    low = math.nextafter(math.nextafter(value, -math.inf), -math.inf)
    high = math.nextafter(math.nextafter(value, math.inf), math.inf)
    return edge.RangeFloat(gte=max(low, -sys.float_info.max), lte=min(high, sys.float_info.max))


def _check_text(field: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise FilterError(f"{field} cannot equal {value!r}: it is not valid Unicode") from error


def _nothing() -> edge.Filter:
    return edge.Filter(must_not=[edge.Filter()])
