"""One row of a file -> one `Example`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from rise_store.corpus.plain_values import well_formed
from rise_store.errors import InputError
from rise_store.records import Example, RowOrigin

MAX_METADATA_DEPTH = 100
"""Deepest nesting of a metadata value, levels: what writes JSON later gives up at about 250."""

_STRING_FIELDS = ("text", "prompt", "completion", "instruction", "input", "output", "license", "source_uri")
_KNOWN_FIELDS = frozenset({*_STRING_FIELDS, "id", "metadata"})
_TEXT_WANTED = 'expected "text", "prompt" with "completion", or "instruction", "input", "output"'


def parse_row(row: object, location: str, origin: RowOrigin | None = None) -> Example:
    """The `Example` that a row stands for.

    The row's `id` (a string or an integer), `text`, `prompt`, `completion`, `instruction`, `input`, `output`,
    `license`, `source_uri` and `metadata` become the fields of those names; `generation` is read as `completion`
    where there is none. Every other field is kept in `metadata`. A field that is null counts as absent, and so does
    an empty `license` or `source_uri`. Surrogates without their partner, which UTF-8 cannot hold, are replaced by
    U+FFFD. `location` (`file:line`) is for messages, `origin` says where the row was read.

    Raises `InputError` for a row that is not an object, has a field of the wrong type, has no text, or has a field
    that its `metadata` contradicts.
    """
    try:
        return _example(row, location, origin)
    except _RowError as error:
        raise InputError(f"{location}: {error}") from None


class _RowError(Exception):
    """What is wrong with a row, before its location is put in front."""


def _example(row: object, location: str, origin: RowOrigin | None) -> Example:
    if not isinstance(row, Mapping):
        raise _RowError(f"expected an object with the fields of one example, found {_kind(row)}")
    values = {field: _string(row, field) for field in _STRING_FIELDS}
    known = _KNOWN_FIELDS
    if values["completion"] is None:
        values["completion"] = _string(row, "generation")
        known = known | {"generation"}
    values["license"] = values["license"] or None
    values["source_uri"] = values["source_uri"] or None
    others = {name: value for name, value in row.items() if name not in known}
    example = Example(id=_id(row), metadata=_metadata(row, others), location=location, origin=origin, **values)
    if not example.content.strip():
        chat = next((name for name in ("messages", "conversations") if row.get(name) is not None), None)
        if chat is not None:
            raise _RowError(
                f'a chat row ("{chat}") becomes a text through the chat template of a model, and no model is at hand '
                f"here; {_TEXT_WANTED}"
            )
        raise _RowError(f"the row has no text; {_TEXT_WANTED}")
    return example


def _string(row: Mapping[Any, Any], field: str) -> str | None:
    value = row.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _RowError(f'"{field}" is {_kind(value)}; expected a string')
    return well_formed(value)


def _id(row: Mapping[Any, Any]) -> str:
    value = row.get("id")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _RowError(f'"id" is {_kind(value)}; expected a string or an integer of at most 64 bits')
    return well_formed(str(value))


def _metadata(row: Mapping[Any, Any], others: Mapping[Any, Any]) -> dict[str, Any]:
    explicit = row.get("metadata")
    if explicit is None:
        explicit = {}
    if not isinstance(explicit, Mapping):
        raise _RowError(f'"metadata" is {_kind(explicit)}; expected an object')
    metadata = {_key(name): _json_value(value, name) for name, value in explicit.items()}
    for name, value in others.items():
        kept = _json_value(value, name)
        known = metadata.setdefault(_key(name), kept)
        if kept is not None and not _same_json(known, kept):
            raise _RowError(f"field {_quoted(name)} and the field of that name in its metadata differ; keep one")
    return metadata


def _json_value(value: object, field: object, depth: int = 0) -> Any:
    """A copy of `value` that can be written as JSON: what a caller's own row holds need not be."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if depth >= MAX_METADATA_DEPTH:
        raise _RowError(f"field {_quoted(field)} is nested more than {MAX_METADATA_DEPTH} levels deep")
    if isinstance(value, (list, tuple)):
        return [_json_value(item, field, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_key(name): _json_value(item, field, depth + 1) for name, item in value.items()}
    raise _RowError(f"field {_quoted(field)} holds {_kind(value)}, which JSON cannot hold")


def _same_json(one: Any, other: Any) -> bool:
    # == would take 1, 1.0 and true for the same
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def _key(name: object) -> str:
    if not isinstance(name, str):
        raise _RowError(f"field name {_quoted(name)} is {_kind(name)}; expected a string")
    return well_formed(name)


def _quoted(name: object) -> str:
    # a name comes from the row: it may be long, or break the line
    text = repr(name)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "an integer" if -(2**63) <= value < 2**64 else "an integer of more than 64 bits"
    if isinstance(value, float):
        return "a number" if math.isfinite(value) else "NaN or infinity"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (bytes, bytearray)):
        return "binary data"
    return f"a Python {type(value).__name__}"
