"""Filters as JSON, for programs: every filter of the store can be said so.

    {"and": [...]}, {"or": [...]}, {"not": {...}}
    {"field": "license", "equals": "MIT"}        {"field": "license", "in": ["MIT", 5, true]}
    {"field": "tokens", "gte": 50, "lt": 90}     {"field": "day", "gt": "2026-01-05"}
    {"field": "source", "startswith": "https:"}  {"field": "license", "exists": true}

Unlike a bare word in the language, a value is nothing but what it is: 5 is no string.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NoReturn

from rise_store.errors import FilterError
from rise_store.retrieval.where.values import read_date
from rise_store.store import (
    And,
    DateRange,
    Equals,
    Exists,
    Filter,
    In,
    Not,
    Or,
    Prefix,
    Range,
    Scalar,
    resolve_field,
)

MOST_LEVELS = 100

_BOUNDS = ("gt", "gte", "lt", "lte")
_KINDS = ("equals", "in", "startswith", "exists", *_BOUNDS)
_ONE_KIND = "one of equals, in, startswith, exists, or bounds (gt, gte, lt, lte)"


def parse_json(text: str) -> Filter:
    """The filter that a JSON object describes; `FilterError` says where in it something else was expected."""
    try:
        tree = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise FilterError(f"filter {_shortened(text)} is not JSON: {error.msg} at column {error.pos + 1}") from error
    except ValueError as error:  # Python reads no integers of thousands of digits
        raise FilterError(f"filter {_shortened(text)} holds a number of too many digits; use a shorter one") from error
    except RecursionError:
        raise FilterError(f"filter {_shortened(text)} is nested deeper than {MOST_LEVELS} levels") from None
    return from_json(tree)


def from_json(tree: Mapping[str, Any]) -> Filter:
    """The same of what was JSON: dicts, lists, strings, booleans, numbers."""
    return _filter(tree, "", 0)


def to_json(where: Filter) -> dict[str, Any]:
    """The JSON form of a filter, which `from_json` reads to the same effect; dates in UTC.

    Empty lists, which `from_json` refuses, become what holds everywhere or nowhere.
    """
    match where:
        case And(()):
            return {"or": _both("example_id")}
        case Or(()):
            return {"and": _both("example_id")}
        case In(field, ()):
            return {"and": _both(field)}
        case And(parts):
            return {"and": [to_json(part) for part in parts]}
        case Or(parts):
            return {"or": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
        case Equals(field, value):
            return {"field": field, "equals": value}
        case In(field, values):
            return {"field": field, "in": list(values)}
        case Prefix(field, prefix):
            return {"field": field, "startswith": prefix}
        case Exists(field):
            return {"field": field, "exists": True}
        case Range() | DateRange():
            bounds = {name: _limit(bound) for name, bound in bounds_of(where).items()}
            if bounds:
                return {"field": where.field, **bounds}
            anywhere = 0 if isinstance(where, Range) else "1970-01-01"  # any number, or any date
            return {"or": [{"field": where.field, "gte": anywhere}, {"field": where.field, "lt": anywhere}]}


def _both(field: str) -> list[dict[str, Any]]:
    """A condition and its opposite."""
    exists = {"field": field, "exists": True}
    return [exists, {"not": exists}]


def bounds_of(where: Range | DateRange) -> dict[str, float | datetime]:
    """The bounds that are given."""
    bounds = {name: getattr(where, name) for name in _BOUNDS}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _limit(bound: float | datetime) -> float | str:
    return write_date(bound) if isinstance(bound, datetime) else bound


def write_date(date: datetime) -> str:
    """A date in UTC: its day alone at midnight, else RFC 3339."""
    utc = date if date.tzinfo is None else date.astimezone(timezone.utc).replace(tzinfo=None)
    return f"{utc.isoformat()}Z".replace("T00:00:00Z", "")


def _filter(tree: Any, path: str, level: int) -> Filter:
    if level > MOST_LEVELS:
        raise FilterError(f"filter: nested deeper than {MOST_LEVELS} levels")
    if not isinstance(tree, Mapping):
        _refuse(path, "an object", tree)
    for key in ("and", "or"):
        if key in tree:
            _check_alone(tree, key, path)
            parts = tree[key]
            if not isinstance(parts, (list, tuple)) or not parts:
                _refuse(_join(path, key), "a list of filters, at least one", parts)
            found = tuple(_filter(part, f"{_join(path, key)}[{i}]", level + 1) for i, part in enumerate(parts))
            return And(found) if key == "and" else Or(found)
    if "not" in tree:
        _check_alone(tree, "not", path)
        return Not(_filter(tree["not"], _join(path, "not"), level + 1))
    return _condition(tree, path)


def _condition(tree: Mapping[str, Any], path: str) -> Filter:
    unknown = [key for key in tree if key not in ("field", *_KINDS)]
    if unknown:
        _refuse(path, '"and", "or", "not", or "field" with a condition', unknown[0])
    if not isinstance(tree.get("field"), str):
        _refuse(_join(path, "field"), "the name of a field", tree.get("field"))
    try:
        field = resolve_field(tree["field"])
    except FilterError as error:
        raise FilterError(f"filter: at {_join(path, 'field')}: {error}") from error
    kinds = [key for key in _KINDS if key in tree]
    if not kinds or (len(kinds) > 1 and not set(kinds) <= set(_BOUNDS)):
        raise FilterError(
            f"filter: at {path or 'the top'}: expected {_ONE_KIND}, found {' and '.join(kinds) or 'none of them'}"
        )
    value, at = tree[kinds[0]], _join(path, kinds[0])
    match kinds[0]:
        case "equals":
            return Equals(field, _scalar(value, at))
        case "in":
            if not isinstance(value, (list, tuple)) or not value:
                _refuse(at, "a list of values, at least one", value)
            return In(field, tuple(_scalar(element, f"{at}[{i}]") for i, element in enumerate(value)))
        case "startswith":
            if not isinstance(value, str):
                _refuse(at, "text", value)
            return Prefix(field, value)
        case "exists":
            if value is not True:
                _refuse(at, 'true (for the opposite, put the condition into "not")', value)
            return Exists(field)
    return _range(field, {name: tree[name] for name in kinds}, path)


def _range(field: str, bounds: dict[str, Any], path: str) -> Filter:
    numbers: dict[str, float] = {}
    dates: dict[str, datetime] = {}
    for name, bound in bounds.items():
        # Not `isfinite`, which takes no integer beyond float64; whether one can be compared with is up to the store.
        if isinstance(bound, (int, float)) and not isinstance(bound, bool) and abs(bound) < math.inf:
            numbers[name] = bound
            continue
        date = read_date(bound) if isinstance(bound, str) else None
        if date is None:
            _refuse(_join(path, name), "a number or a date such as 2026-01-05", bound)
        dates[name] = date
    if numbers and dates:
        raise FilterError(f"filter: at {path or 'the top'}: expected bounds of one kind, found a number and a date")
    return DateRange(field, **dates) if dates else Range(field, **numbers)


def _scalar(value: Any, path: str) -> Scalar:
    if value is None:
        _refuse(path, 'a value (null is none: put "exists" into "not")', value)
    if not isinstance(value, (str, bool, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
        _refuse(path, "text, a finite number, true or false", value)
    return value


def _check_alone(tree: Mapping[str, Any], key: str, path: str) -> None:
    others = [other for other in tree if other != key]
    if others:
        _refuse(path, f'nothing beside "{key}"', others[0])


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _refuse(path: str, expected: str, found: Any) -> NoReturn:
    try:
        shown = json.dumps(found, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        shown = type(found).__name__
    raise FilterError(f"filter: at {path or 'the top'}: expected {expected}, found {_cut(shown)}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise FilterError(f"filter: the key {twice!r} stands twice in one object; one of them would be lost")
    return tree


def _no_constant(name: str) -> NoReturn:
    raise FilterError(f"filter: {name} is no JSON; use a finite number")


def _shortened(text: str) -> str:
    return repr(_cut(text.strip()))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."
