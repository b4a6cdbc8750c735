"""What filters mean, evaluated value by value in Python: the model that the engines are held to."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

from rise_store.store.filters import And, DateRange, Equals, Exists, Filter, In, Not, Or, Prefix, Range
from rise_store.store.paths import parse_path


def matches(where: Filter, payload: dict[str, Any]) -> bool:
    """Whether a payload passes the filter; see `rise_store.store.filters` and `rise_store.store.translate`."""
    match where:
        case Equals(field, value):
            return any(equal(stored, value) for stored in elements_at(payload, field))
        case In(field, values):
            return any(equal(stored, value) for stored in elements_at(payload, field) for value in values)
        case Range(field):
            return any(_within(stored, where) for stored in elements_at(payload, field))
        case DateRange(field):
            return any(_within_dates(stored, where) for stored in elements_at(payload, field))
        case Prefix(field, prefix):
            return any(isinstance(stored, str) and stored.startswith(prefix) for stored in elements_at(payload, field))
        case Exists(field):
            return value_at(payload, field) not in (None, [])
        case Not(part):
            return not matches(part, payload)
        case And(parts):
            return all(matches(part, payload) for part in parts)
        case Or(parts):
            return any(matches(part, payload) for part in parts)


def value_at(payload: dict[str, Any], field: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = payload
    for key in parse_path(field):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def elements_at(payload: dict[str, Any], field: str) -> list[Any]:
    """The values that a condition on the path looks at: those of a list, or the value itself."""
    value = value_at(payload, field)
    return value if isinstance(value, list) else [value]


def equal(stored: Any, value: Any) -> bool:
    """Whether a stored value is equal to a filter's, of its kind."""
    if isinstance(stored, bool) or isinstance(value, (bool, str)):
        return type(stored) is type(value) and stored == value
    if not isinstance(stored, (int, float)):
        return False
    if isinstance(value, float):
        return _near(stored, value)
    return stored == value


def _near(stored: float, value: float) -> bool:
    return abs(float(stored) - value) <= 2 * math.ulp(value)


def _within(stored: Any, bounds: Range) -> bool:
    if isinstance(stored, bool) or not isinstance(stored, (int, float)):
        return False

    def same(bound: float) -> bool:
        return _near(stored, bound) if isinstance(bound, float) else float(stored) == bound

    return (
        (bounds.gt is None or (stored > bounds.gt and not same(bounds.gt)))
        and (bounds.gte is None or stored > bounds.gte or same(bounds.gte))
        and (bounds.lt is None or (stored < bounds.lt and not same(bounds.lt)))
        and (bounds.lte is None or stored < bounds.lte or same(bounds.lte))
    )


def read_date(text: Any) -> datetime | None:
    """A stored value as a date, in the spellings that tests use: `YYYY-MM-DD`, or RFC 3339 with or without offset."""
    if not isinstance(text, str) or len(text) < 10 or text[4:5] != "-":
        return None
    try:
        date = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def _within_dates(stored: Any, bounds: DateRange) -> bool:
    date = read_date(stored)
    if date is None:
        return False
    return (
        (bounds.gt is None or date > _aware(bounds.gt))
        and (bounds.gte is None or date >= _aware(bounds.gte))
        and (bounds.lt is None or date < _aware(bounds.lt))
        and (bounds.lte is None or date <= _aware(bounds.lte))
    )


def _aware(bound: datetime) -> datetime:
    return bound if bound.tzinfo else bound.replace(tzinfo=timezone.utc)
