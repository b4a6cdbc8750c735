"""Indexes of payload fields."""

from __future__ import annotations

from typing import get_args

from rise_store.errors import ConfigError, FilterError
from rise_store.records import FieldIndex
from rise_store.store import OWN_FIELDS, Collection, IndexKind, resolve_field
from rise_store.store.payload import INDEXED_FIELDS


def create_index(collection: Collection, name: str, kind: IndexKind) -> FieldIndex:
    """Index the field that `name` stands for, so that filters on it are fast; no example need have it yet.

    Raises:
        FilterError: `name` is no field with values of its own, or has an index of another kind.
        ConfigError: an unknown kind.
    """
    if kind not in get_args(IndexKind):
        raise ConfigError(f"unknown kind of index {kind!r}; choose one of {', '.join(get_args(IndexKind))}")
    field = resolve_field(name)
    if field in OWN_FIELDS and field not in INDEXED_FIELDS:
        raise FilterError(f"cannot index {name!r}: it is no field to filter by; name one like metadata.topic")
    known = collection.indexes()
    if field in known and known[field] != kind:
        raise FilterError(
            f"{field} has an index of type {known[field]} already, and a field has one; leave it as it is"
        )
    if field not in known:
        collection.create_index(field, kind)
    return FieldIndex(field=field, kind=kind, own=field in INDEXED_FIELDS, new=field not in known)


def list_indexes(collection: Collection) -> list[FieldIndex]:
    """The indexed fields: first those that the store indexes by itself, then others, by name."""
    found = [
        FieldIndex(field=field, kind=kind, own=field in INDEXED_FIELDS) for field, kind in collection.indexes().items()
    ]
    return sorted(found, key=lambda index: (not index.own, index.field))
