"""Filters over payloads, independent of the engine.

A field is a dotted path into the payload (`rise_store.store.paths`). Where the value at the path is a list, a
condition holds when it holds for any of its elements; where there is no value, no condition holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Equals:
    """The value at `field` equals `value`, which is of its kind: 1 and 1.0 are equal, 1 and True are not."""

    field: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class In:
    """The value at `field` equals one of `values`, as `Equals` means it; no values: nothing holds."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The number at `field` lies within the bounds that are given."""

    field: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class DateRange:
    """The date at `field` (RFC 3339, or a plain `YYYY-MM-DD`, which is midnight UTC) lies within the bounds."""

    field: str
    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """The string at `field` starts with `prefix`, case and all."""

    field: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a value at `field`; null and the empty list are none, but false, "" and a list of null are."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold, which is so too where its field has no value."""

    part: Filter


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; no parts: everything holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; no parts: nothing holds."""

    parts: tuple[Filter, ...]


Filter = Equals | In | Range | DateRange | Prefix | Exists | Not | And | Or
