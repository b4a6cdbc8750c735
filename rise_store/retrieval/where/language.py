"""Filters of the store, written as users write them."""

from __future__ import annotations

import json
from datetime import datetime

from rise_store.errors import FilterError
from rise_store.retrieval.where.json_form import bounds_of, to_json, write_date
from rise_store.retrieval.where.scanner import Scanner, Value
from rise_store.retrieval.where.values import BOUNDS, equals_any, readings
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
from rise_store.store.paths import join_path, parse_path

_SYMBOLS = {name: symbol for symbol, name in BOUNDS.items()}
_KEYWORDS = ("and", "or", "not")
_OR, _AND, _PART = range(3)  # how tightly what surrounds a filter binds


def format_where(where: Filter) -> str:
    """A filter as text that `parse_where` reads to the same effect.

    It is in the language wherever the language can say it. Two things only JSON can: that a number or boolean is meant
    and not its spelling, and that one value of a list is within two bounds. What has no parts or values is written in
    JSON as a condition and its opposite, joined to hold everywhere or nowhere.
    """
    try:
        return _write(where, _OR)
    except _OnlyJsonError:
        return json.dumps(to_json(where), ensure_ascii=False)


class _OnlyJsonError(Exception):
    pass


def _write(where: Filter, around: int) -> str:
    where = _unwrapped(where)
    word = _one_word(where)
    if word is not None:
        return f"{_field(word[0])} = {word[1]}"
    match where:
        case Or(parts) if parts:
            text = " or ".join(_write(part, _AND) for part in parts)
            return f"({text})" if around > _OR else text
        case And(parts) if parts:
            text = " and ".join(_write(part, _PART) for part in parts)
            return f"({text})" if around > _AND else text
        case Not(part):
            return _write_not(part)
        case In(field, values) if values:
            return f"{_field(field)} in {_list(values)}"
        case Prefix(field, prefix):
            return f"{_field(field)} startswith {_quoted(prefix)}"
        case Exists(field):
            return f"{_field(field)} exists"
        case Range() | DateRange():
            return _write_bound(where)
    raise _OnlyJsonError


def _write_not(part: Filter) -> str:
    part = _unwrapped(part)
    word = _one_word(part)
    if word is not None:
        return f"{_field(word[0])} != {word[1]}"
    if isinstance(part, In) and part.values:
        return f"{_field(part.field)} not in {_list(part.values)}"
    return f"not {_write(part, _PART)}"


def _unwrapped(where: Filter) -> Filter:
    while isinstance(where, And | Or) and len(where.parts) == 1:
        where = where.parts[0]
    return where


def _write_bound(where: Range | DateRange) -> str:
    bounds = bounds_of(where)
    if len(bounds) != 1:
        raise _OnlyJsonError
    ((name, limit),) = bounds.items()
    text = write_date(limit) if isinstance(limit, datetime) else repr(limit)
    return f"{_field(where.field)} {_SYMBOLS[name]} {text}"


def _one_word(where: Filter) -> tuple[str, str] | None:
    """The field and the value of what one comparison by `=` says, if one can say it."""
    if isinstance(where, Equals) and isinstance(where.value, str):
        return where.field, _word(where.value)
    first = where.parts[0] if isinstance(where, Or) and where.parts else None
    if isinstance(first, Equals) and isinstance(first.value, str) and _is_bare(first.value):
        values = readings(first.value)
        if len(values) > 1 and repr(where) == repr(equals_any(first.field, values)):
            return first.field, first.value
    return None


def _list(values: tuple[Scalar, ...]) -> str:
    words: list[str] = []
    rest = {(type(value), value) for value in values}  # the type, since True is 1 and 1.0 is 1
    for value in values:
        if isinstance(value, str) and (str, value) in rest:
            meant = {(type(reading), reading) for reading in readings(value)}
            bare = len(meant) > 1 and meant <= rest and _is_bare(value)
            rest -= meant if bare else {(str, value)}
            words.append(value if bare else _word(value))
    if rest:
        raise _OnlyJsonError
    return f"({', '.join(words)})"


def _word(text: str) -> str:
    """A string that is to be read as nothing else: bare where that is what a bare word means."""
    return text if readings(text) == (text,) and _is_bare(text) else _quoted(text)


def _is_bare(text: str) -> bool:
    try:
        return Scanner(text).take_value(in_list=True) == Value(text, quoted=False)
    except FilterError:
        return False


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _field(path: str) -> str:
    """A field as short as it can be named: without `metadata.` where it is found all the same."""
    keys = parse_path(path)
    for name in (join_path(keys[1:]) if len(keys) > 1 else "", join_path(keys)):
        if name and name.lower() not in _KEYWORDS and resolve_field(name) == join_path(keys):
            return name
    raise FilterError(f"{path!r} is no field of a stored example: those of records are in `metadata`")
