"""The payload of a stored example, in one place: its fields, their indexes, and the id of its point.

A payload holds our own fields and `metadata`, the record's own fields as they came. `flags` exists for the engine,
which matches no booleans: it lists "path=true" or "path=false" for each boolean that a filter can reach in `metadata`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid5

from rise_store.errors import ConfigError, FilterError, InputError
from rise_store.records import ChannelNorms, Metadata
from rise_store.store.backend import IndexKind, Payload
from rise_store.store.json_values import check_value
from rise_store.store.paths import join_path, parse_path

INDEXED_FIELDS: dict[str, IndexKind] = {
    "example_id": "keyword",
    "dataset": "keyword",
    "dataset_version": "keyword",
    "source_uri": "keyword",
    "license": "keyword",
    "content_sha256": "keyword",
    "run_id": "keyword",
    "vanished_in": "keyword",
    "ingested_at": "datetime",
    "tokens": "integer",
    "chunks": "integer",
    "channel_norms.rh": "float",
    "channel_norms.gh": "float",
    "flags": "keyword",
}
KEYWORD_FIELDS = tuple(field for field, kind in INDEXED_FIELDS.items() if kind == "keyword")
_IDENTIFYING_FIELDS = ("example_id", "dataset", "content_sha256", "run_id")
OWN_FIELDS = (
    *INDEXED_FIELDS,
    "record_sha256",
    "channel_norms",
    "text",
    "metadata",
    "read_from",
    "read_from.file",
    "read_from.row",
    "read_from.start",
    "read_from.end",
)

# The namespace of all point ids; a constant of the project, which may never change.
_NAMESPACE = UUID("5b1c7f3e-0d7a-4a52-9a53-2f0c6f1f9d10")


def build_payload(
    *,
    example_id: str,
    dataset: str,
    content_sha256: str,
    run_id: str,
    ingested_at: str,
    tokens: int,
    chunks: int,
    channel_norms: ChannelNorms,
    text: str | None = None,
    dataset_version: str | None = None,
    source_uri: str | None = None,
    license: str | None = None,
    metadata: Metadata | None = None,
    record_sha256: str | None = None,
    read_from: Metadata | None = None,
) -> Payload:
    """The payload of one example; what is None or empty is left out.

    `ingested_at` is RFC 3339 in UTC; `read_from` says where the row was read: file, row, start, end; `channel_norms`
    are kept to 9 decimals. `InputError`, naming the example, for what cannot be stored: NaN, integers beyond 64 bits,
    lone surrogates, values that are not JSON, deep nesting.
    """
    fields: Payload = {
        "example_id": example_id,
        "dataset": dataset,
        "dataset_version": dataset_version,
        "source_uri": source_uri,
        "license": license,
        "content_sha256": content_sha256,
        "record_sha256": record_sha256,
        "run_id": run_id,
        "ingested_at": ingested_at,
        "tokens": tokens,
        "chunks": chunks,
        "channel_norms": {"rh": round(channel_norms.rh, 9), "gh": round(channel_norms.gh, 9)},
        "text": text,
        "metadata": metadata or None,
        "read_from": read_from,
    }
    payload = {name: value for name, value in fields.items() if value is not None}
    check_value(payload, "the payload", describe_example(payload))
    return with_flags(payload)


def with_flags(payload: Payload) -> Payload:
    """The payload with the `flags` that its `metadata` calls for, and no others."""
    flagged = {name: value for name, value in payload.items() if name != "flags"}
    flags = sorted(set(_flags_of(payload.get("metadata", {}), ("metadata",))))
    return {**flagged, "flags": flags} if flags else flagged


def describe_example(payload: Payload, fallback: object = "?") -> str:
    """How messages name the example behind a payload: its id and dataset, or `fallback` where it has none."""
    name = payload.get("example_id", fallback)
    return f"example {name!r} of dataset {payload['dataset']!r}" if "dataset" in payload else f"example {name!r}"


def flag(path: str, value: bool) -> str:
    """The entry of `flags` that says that the boolean at `path` has this value."""
    return f"{join_path(parse_path(path))}={'true' if value else 'false'}"


def resolve_field(name: str) -> str:
    """The payload path of a field as users name it: own fields and `metadata.x` as they are, else `metadata.<name>`.

    `FilterError` when `name` is not a dotted path.
    """
    keys = parse_path(name)
    if name in OWN_FIELDS or keys[0] == "metadata":
        return join_path(keys)
    return join_path(("metadata", *keys))


def point_id(space_fingerprint: str, dataset: str, key: str) -> UUID:
    """The id of an example's point: the same example of the same dataset in the same space has the same id."""
    # A JSON list is unambiguous where a separator would not be: ("a/b", "c") and ("a", "b/c") differ.
    return uuid5(_NAMESPACE, json.dumps([space_fingerprint, dataset, key], separators=(",", ":")))


def check_mark(field: str, value: str) -> None:
    """`ConfigError` unless `field` is a keyword field that nothing is computed from; `InputError` for a bad value."""
    if field not in KEYWORD_FIELDS or field in (*_IDENTIFYING_FIELDS, "flags"):
        fields = ", ".join(name for name in KEYWORD_FIELDS if name not in (*_IDENTIFYING_FIELDS, "flags"))
        raise ConfigError(f"rows cannot be marked in the field {field!r}: choose one of {fields}")
    if not isinstance(value, str) or not value:
        raise InputError(f"{field} takes a text with characters, not {value!r}")
    check_value(value, field, "the mark")


def check_keyword_field(field: str, indexes: Mapping[str, IndexKind]) -> None:
    """`FilterError` unless `field` has a keyword index, which counting by value needs."""
    if indexes.get(join_path(parse_path(field))) != "keyword":
        known = ", ".join(sorted(name for name, kind in indexes.items() if kind == "keyword"))
        raise FilterError(
            f"cannot count by {field!r}, which has no keyword index: choose one of {known}, or make one with "
            "rise-store index"
        )


def _flags_of(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, bool):
        yield f"{join_path(keys)}={'true' if value else 'false'}"
    elif isinstance(value, dict):
        for key, element in value.items():
            yield from _flags_of(element, (*keys, key))
    elif isinstance(value, list):
        # As for other values, a path stands for the elements of a list at its end, and reaches no deeper.
        yield from (
            f"{join_path(keys)}={'true' if element else 'false'}"
            for element in value
            if element is True or element is False
        )
