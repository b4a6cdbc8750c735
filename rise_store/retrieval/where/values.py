"""What a value means: the readings of a bare word, and of dates and numbers in comparisons."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timezone

from rise_store.store import DateRange, Equals, Filter, In, Or, Range, Scalar

# RFC 3339, whose time of day, seconds and offset may be missing.
_DATE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?(?:\.(?P<fraction>\d+))?(?P<offset>[Zz]|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)

BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def readings(word: str) -> tuple[Scalar, ...]:
    """What a bare word can equal: the string; and the boolean or number that it reads as."""
    values: list[Scalar] = [word]
    if word in ("true", "false"):
        values.append(word == "true")
    number = read_number(word)
    if number is not None:
        values.append(number)
    return tuple(values)


def equals_any(field: str, values: Iterable[Scalar]) -> Filter:
    """The field equals one of the readings of one word."""
    parts = tuple(Equals(field, value) for value in values)
    return parts[0] if len(parts) == 1 else Or(parts)


def is_one_of(field: str, words: Iterable[tuple[Scalar, ...]]) -> In:
    """The field equals one of the readings of several words."""
    return In(field, tuple(value for values in words for value in values))


def read_number(word: str) -> int | float | None:
    """The finite number that a word reads as, or None."""
    try:
        return int(word)
    except ValueError:
        pass
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_date(text: str) -> datetime | None:
    """The date that a text reads as, or None; without an offset it is UTC, without a time of day midnight."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, offset = match.group("day", "minute", "second", "fraction", "offset")
    micro = f".{fraction[:6]:0<6}" if fraction else ""
    zone = "+00:00" if offset in (None, "Z", "z") else offset
    try:
        date = datetime.fromisoformat(f"{day}T{minute or '00:00'}{second or ':00'}{micro}{zone}")
        return date.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def bound(field: str, name: str, limit: float | datetime) -> Filter:
    """The field is on the side `name` (gt, gte, lt, lte) of a number or a date."""
    return DateRange(field, **{name: limit}) if isinstance(limit, datetime) else Range(field, **{name: limit})
