"""The contract of a store's catalogue, and how documents are written there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from rise_store.errors import InputError
from rise_store.store.json_values import check_value

Document = dict[str, Any]  # JSON


class Entry(NamedTuple):
    """A document with its names."""

    kind: str
    key: str
    owner: str
    document: Document


class Catalogue(Protocol):
    """What a store knows beside its points: JSON documents of a few kinds, such as dataset, run, receipt, tombstone.

    A document has a key, unique within its kind, and may belong to an owner, as receipts do to their run. Safe for
    threads. Every method raises `StoreError` when the engine fails, or when what it reads is damaged.
    """

    def put(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """Insert or replace documents by key; durable against a killed process once it returns.

        `InputError`, before any write, for what cannot be stored: NaN, integers beyond 64 bits, lone surrogates, values
        that are not JSON, more than 100 levels.
        """
        ...

    def insert(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """Like `put`, but documents that exist stay as they are: of several writers the first one counts."""
        ...

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Document]:
        """The documents among `keys` that exist, by key."""
        ...

    def scan(self, kind: str, *, owner: str | None = None) -> Iterator[tuple[str, Document]]:
        """Keys and documents of a kind, or of an owner's, each once, in no order that means anything.

        What is written meanwhile may or may not be among them.
        """
        ...

    def entries(self) -> Iterator[Entry]:
        """Every document of every kind, each once."""
        ...

    def count(self, kind: str, *, owner: str | None = None) -> int:
        """Exact number of documents of a kind, or of an owner's."""
        ...

    def remove(self, kind: str, keys: Iterable[str]) -> None:
        """Remove documents; unknown keys are ignored. Their bytes may stay on disk until `compact`."""
        ...

    def compact(self) -> None:
        """Free what removed and replaced documents left; in a folder none of their bytes remain."""
        ...

    def size_bytes(self) -> int | None:
        """Bytes that it takes on disk; None where nobody knows."""
        ...


def pack(kind: str, documents: Mapping[str, Document], owner: str) -> dict[str, str]:
    """Documents as JSON texts by key; `InputError` for what cannot be stored."""
    packed = {}
    for key, document in documents.items():
        name = f"the {kind} {key!r}"
        if type(document) is not dict:
            raise InputError(f"{name} is a {type(document).__name__}. Only objects can be documents: wrap it in one")
        check_value([kind, key, owner], "its name", name)
        check_value(document, "the document", name)
        packed[key] = orjson.dumps(document).decode()
    return packed
