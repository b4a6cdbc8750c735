"""What a payload may hold, and how values survive an engine that keeps JSON text.

Qdrant keeps payloads as JSON and reads them back with a parser that rounds some floats by up to 2 units in the
last place (qdrant-edge-py 0.9.0: 17% of random float64). Top-level fields that hold a float which may be rounded get
an exact copy, as text, under `exact`; `decode` puts it back.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import orjson

from rise_store.errors import InputError

EXACT = "exact"

# Beyond 125 levels the engine stores a payload that no read can parse any more, which breaks every scroll.
MAX_DEPTH = 100
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


def check_value(value: Any, path: str, owner: str) -> bool:
    """Check that `value` can be stored; returns whether it holds a float that the engine may round.

    JSON only: None, bool, str without lone surrogates, int of 64 bits, finite float, list, dict with str keys, at
    most `MAX_DEPTH` levels. `InputError` names the `owner` (an example) and the `path` of what is wrong.
    """
    return _check(value, path, owner, 0)


def encode(payload: dict[str, Any], owner: str) -> dict[str, Any]:
    """`payload` as it is handed to the engine; `InputError` when it holds what cannot be stored."""
    rounded = [key for key, value in payload.items() if check_value(value, key, owner)]
    check_value(list(payload), "field names", owner)
    if not rounded:
        return payload
    return {**payload, EXACT: {key: orjson.dumps(payload[key]).decode() for key in rounded}}


def decode(payload: dict[str, Any] | None) -> dict[str, Any]:
    """The payload as it was before `encode`."""
    if not payload:
        return {}
    exact = payload.pop(EXACT, None)
    if exact:
        payload.update((key, orjson.loads(text)) for key, text in exact.items())
    return payload


def encoded_bytes(payload: dict[str, Any]) -> int:
    """Bytes of the payload as JSON, for the free-space check."""
    return len(orjson.dumps(payload))


def _check(value: Any, path: str, owner: str, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise InputError(
            f"{owner}: {path[:80]}... is nested deeper than {MAX_DEPTH} levels. Flatten it or leave it out"
        )
    kind = type(value)
    if value is None or kind is bool:
        return False
    if kind is str:
        _check_text(value, path, owner)
        return False
    if kind is int:
        if not _MIN_INTEGER <= value <= _MAX_INTEGER:
            raise InputError(f"{owner}: {path} is an integer of more than 64 bits ({value}). Store it as a string")
        return False
    if kind is float:
        if not math.isfinite(value):
            raise InputError(
                f"{owner}: {path} is {value}, which JSON cannot hold. Leave it out or store it as a string"
            )
        return not _survives(value)
    if kind is list:
        rounded = [_check(element, path, owner, depth + 1) for element in value]  # all of them, before any()
        return any(rounded)
    if kind is dict:
        rounded = [_check_item(key, element, path, owner, depth) for key, element in value.items()]
        return any(rounded)
    raise InputError(
        f"{owner}: {path} is a {kind.__name__}. Only JSON values can be stored: convert it, e.g. to a string"
    )


def _check_item(key: Any, element: Any, path: str, owner: str, depth: int) -> bool:
    if type(key) is not str:
        raise InputError(f"{owner}: {path} has the key {key!r}. Only strings can be keys: convert it")
    _check_text(key, f"a key of {path}", owner)
    return _check(element, f"{path}.{key}", owner, depth + 1)


def _check_text(text: str, path: str, owner: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{owner}: {path} holds a lone surrogate at character {error.start}, which is not valid Unicode. "
            "Repair this row or leave it out"
        ) from error


def _survives(value: float) -> bool:
    # With at most 15 digits and a power of ten from -22 to 0, the parser's arithmetic is exact: both numbers are
    # float64 and one correctly rounded division joins them.
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    return len(digits) <= 15 and isinstance(exponent, int) and -22 <= exponent <= 0
