"""The words in which each engine takes filters: the classes of `qdrant_edge`, and those of `qdrant_client`.

Both mean the same by them; `rise_store.store.translate` decides what is said, these only say it. Paths are spelled as
`rise_store.store.paths.engine_path` spells them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import qdrant_edge as edge

Bounds = dict[str, float]
"""Bounds on a number by `gt`, `gte`, `lt`, `lte`, all of which hold for one value."""

DateBounds = dict[str, datetime]
"""Bounds on a date by the same names, in UTC."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one engine writes conditions; what the others return goes into `all_of`, `any_of` and `none_of`."""

    all_of: Callable[[list[Any]], Any]  # every part holds; no parts: everything holds
    any_of: Callable[[list[Any]], Any]  # at least one of one or more parts holds; no parts: everything holds
    none_of: Callable[[list[Any]], Any]  # no part holds
    same: Callable[[str, str | int], Any]  # a value at the path is this string or 64-bit integer
    one_of: Callable[[str, list[str]], Any]  # a value at the path is one of these strings
    starts: Callable[[str, str], Any]  # a value at the path is a string that starts with this one
    numbers: Callable[[str, Bounds], Any]  # a value at the path is a number within the bounds
    dates: Callable[[str, DateBounds], Any]  # a value at the path reads as a date, which is within the bounds
    empty: Callable[[str], Any]  # there is nothing, null or an empty list at the path


EDGE = Dialect(
    all_of=lambda parts: edge.Filter(must=parts),
    any_of=lambda parts: edge.Filter(should=parts),
    none_of=lambda parts: edge.Filter(must_not=parts),
    same=lambda path, value: edge.FieldCondition(path, match=edge.MatchValue(value)),
    one_of=lambda path, texts: edge.FieldCondition(path, match=edge.MatchAny(texts)),
    starts=lambda path, prefix: edge.FieldCondition(path, match=edge.MatchPrefix(prefix)),
    numbers=lambda path, bounds: edge.FieldCondition(path, range=edge.RangeFloat(**bounds)),
    dates=lambda path, bounds: edge.FieldCondition(
        path, range=edge.RangeDateTime(**{name: bound.isoformat() for name, bound in bounds.items()})
    ),
    empty=lambda path: edge.IsEmptyCondition(path),
)


@cache
def client_dialect() -> Dialect:
    """The dialect of `qdrant_client`, which takes a second to import: too long for those who have a folder."""
    from qdrant_client import models

    return Dialect(
        all_of=lambda parts: models.Filter(must=parts),
        any_of=lambda parts: models.Filter(should=parts),
        none_of=lambda parts: models.Filter(must_not=parts),
        same=lambda path, value: models.FieldCondition(key=path, match=models.MatchValue(value=value)),
        one_of=lambda path, texts: models.FieldCondition(key=path, match=models.MatchAny(any=texts)),
        starts=lambda path, prefix: models.FieldCondition(key=path, match=models.MatchPrefix(prefix=prefix)),
        numbers=lambda path, bounds: models.FieldCondition(key=path, range=models.Range(**bounds)),
        dates=lambda path, bounds: models.FieldCondition(key=path, range=models.DatetimeRange(**bounds)),
        empty=lambda path: models.IsEmptyCondition(is_empty=models.PayloadField(key=path)),
    )
