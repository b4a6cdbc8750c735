"""Filters over payloads, independent of the engine."""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Equals:
    """The payload value at `field` (dotted path; any element, where it is a list) equals `value`."""

    field: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; no parts: everything holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple[Filter, ...]


Filter = Equals | And | Or
