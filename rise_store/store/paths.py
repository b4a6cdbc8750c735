"""Dotted paths into payloads: `metadata.source.name`, with quotes round a key that is not plain: `metadata."a.b"`.

A path names a value by keys only. It does not reach into lists: a list at the end of a path stands for its elements.
"""

from __future__ import annotations

import json
import re

from rise_store.errors import FilterError

_SEGMENT = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"(?=\.|$)|(?P<bare>[^."][^.]*)(?=\.|$)', re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def parse_path(path: str) -> tuple[str, ...]:
    """The keys of a dotted path; `FilterError` when it is not one (empty, an empty part, an open quote, no Unicode)."""
    keys: list[str] = []
    position = 0
    while True:
        match = _SEGMENT.match(path, position)
        if match is None:
            raise FilterError(f'{path!r} is not a field: write keys separated by dots, like a.b or metadata."a.b"')
        bare = match["bare"]
        keys.append(_checked(bare if bare is not None else _unquote(match["quoted"], path), path))
        if match.end() == len(path):
            return tuple(keys)
        position = match.end() + 1


def join_path(keys: tuple[str, ...]) -> str:
    """The path of `keys`, the inverse of `parse_path`: one spelling for each sequence of keys."""
    return ".".join(key if _PLAIN.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in keys)


def engine_path(path: str) -> str:
    """The same path as Qdrant spells it; `FilterError` for keys that Qdrant has no spelling for."""
    keys = parse_path(path)
    for key in keys:
        # Qdrant's JSON paths quote keys but escape nothing inside the quotes (qdrant-edge-py 0.9.0).
        if '"' in key or "\\" in key:
            raise FilterError(
                f"cannot filter by {path!r}: the key {key!r} holds a quote or a backslash. "
                "Rename it in the source and ingest again"
            )
    return ".".join(key if _PLAIN.fullmatch(key) else f'"{key}"' for key in keys)


def _checked(key: str, path: str) -> str:
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise FilterError(f"{path!r} is not a field: it is not valid Unicode; write it in UTF-8") from error
    return key


def _unquote(quoted: str, path: str) -> str:
    try:
        key: str = json.loads(f'"{quoted}"', strict=False)
    except ValueError as error:
        raise FilterError(f"{path!r} is not a field: a quoted key takes the escapes of JSON") from error
    return key
