"""Parts of payloads: the fields that a reader asked for, and what the engine must read to answer exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rise_store.store.json_values import EXACT, decode
from rise_store.store.paths import engine_path, join_path, parse_path

_Tree = dict[str, Any]  # key -> the tree of what is wanted below it; an empty one: all of it


def engine_fields(fields: Sequence[str]) -> list[str]:
    """Payload paths, as Qdrant spells them, from which `read_payload` makes `fields`.

    Whole top-level fields with their exact copies: floats are kept exactly only as part of these (see `json_values`).
    """
    tops = dict.fromkeys(parse_path(field)[0] for field in fields)
    return [engine_path(join_path(keys)) for top in tops for keys in ((top,), (EXACT, top))]


def read_payload(stored: dict[str, Any] | None, fields: Sequence[str] | None) -> dict[str, Any]:
    """The payload that was stored, or of it the values at the dotted paths `fields`, each where it was."""
    payload = decode(stored)
    if fields is None:
        return payload
    wanted: _Tree = {}
    for field in fields:
        _add(wanted, parse_path(field))
    return _select(payload, wanted)


def _add(tree: _Tree, keys: tuple[str, ...]) -> None:
    for position, key in enumerate(keys):
        if key in tree and not tree[key]:
            return  # all of it is wanted already
        tree = tree.setdefault(key, {})
        if position == len(keys) - 1:
            tree.clear()


def _select(value: dict[str, Any], wanted: _Tree) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for key, inner in wanted.items():
        if key not in value:
            continue
        if not inner:
            chosen[key] = value[key]
        elif isinstance(value[key], dict) and (below := _select(value[key], inner)):
            chosen[key] = below
    return chosen
