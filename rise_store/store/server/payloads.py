"""Payloads on the wire, which is narrower than JSON.

gRPC carries integers of 63 bits and a sign, and messages of at most 100 levels, three of which each level of a
payload takes. What is beyond becomes a float or is cut off in the copy that filters see; the exact value of that field
travels as text, as that of floats does (`rise_store.store.json_values`), and is what readers get.
"""

from __future__ import annotations

from typing import Any

import orjson

from rise_store.store.json_values import EXACT, encode

MOST_LEVELS = 24
_MAX_INTEGER = 2**63 - 1


def to_wire(payload: dict[str, Any], owner: str) -> dict[str, Any]:
    """`payload` as it is sent; `decode` undoes it. `InputError` when it holds what cannot be stored."""
    encoded = encode(payload, owner)
    narrowed: dict[str, Any] = {}
    for key, value in payload.items():
        carried = _carried(value, MOST_LEVELS)
        if carried is not value:
            narrowed[key] = carried
    if not narrowed:
        return encoded
    exact = {key: orjson.dumps(payload[key]).decode() for key in narrowed}
    return {**encoded, **narrowed, EXACT: {**encoded.get(EXACT, {}), **exact}}


def _carried(value: Any, levels: int) -> Any:
    """The value itself where the wire can carry it, else a copy of what it can carry."""
    if isinstance(value, int) and value > _MAX_INTEGER:
        return float(value)
    if isinstance(value, dict | list) and levels == 0:
        return None
    if isinstance(value, dict):
        fields = {key: _carried(element, levels - 1) for key, element in value.items()}
        return fields if any(fields[key] is not value[key] for key in value) else value
    if isinstance(value, list):
        elements = [_carried(element, levels - 1) for element in value]
        return elements if any(new is not old for new, old in zip(elements, value, strict=True)) else value
    return value
