"""The documents of a store on a server, beside those that make its spaces: in the collection of its catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID, uuid5

import orjson
from qdrant_client import models

from rise_store.errors import ConfigError, StoreError
from rise_store.store.batches import batches
from rise_store.store.catalogue import Document, Entry, pack
from rise_store.store.server.calls import Calls
from rise_store.store.server.catalogue import KINDS, SpaceRecords
from rise_store.store.server.optimizer import compact

_NAMESPACE = UUID("2f6e0b9c-7a54-4d0f-8f5c-6d1b3a9e4c21")  # of the ids of documents; may never change
_CALL_DOCUMENTS = 256
_CALL_BYTES = 16 * 2**20
_OWN = models.FieldCondition(key="kind", match=models.MatchAny(any=list(KINDS)))


class ServerCatalogue:
    """The documents of a store that exists, in the collection of its catalogue. See `Catalogue`."""

    def __init__(self, records: SpaceRecords, calls: Calls) -> None:
        self._records = records
        self._calls = calls
        self._is_fit = False  # to be written to

    def put(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """See `Catalogue.put`; where a call fails for good, the documents of those before it are stored."""
        self._write(kind, documents, owner, None)

    def insert(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """See `Catalogue.insert`."""
        self._write(kind, documents, owner, models.UpdateMode.INSERT_ONLY)

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Document]:
        """See `Catalogue.get`."""
        found: dict[str, Document] = {}
        for batch in batches((_id(kind, key) for key in keys), _CALL_DOCUMENTS):
            for entry in map(self._entry, self._calls.retrieve(batch)):
                found[entry.key] = entry.document
        return found

    def scan(self, kind: str, *, owner: str | None = None) -> Iterator[tuple[str, Document]]:
        """See `Catalogue.scan`."""
        for entry in self._entries(_filter(kind, owner)):
            yield entry.key, entry.document

    def entries(self) -> Iterator[Entry]:
        """See `Catalogue.entries`."""
        return self._entries(models.Filter(must_not=[_OWN]))

    def count(self, kind: str, *, owner: str | None = None) -> int:
        """See `Catalogue.count`."""
        return self._calls.count(_filter(kind, owner))

    def remove(self, kind: str, keys: Iterable[str]) -> None:
        """See `Catalogue.remove`."""
        for batch in batches((str(_id(kind, key)) for key in keys), _CALL_DOCUMENTS):
            self._calls.delete(models.PointIdsList(points=list(batch)))

    def compact(self) -> None:
        """See `Catalogue.compact`, and `optimizer.compact` for what a server does."""
        compact(self._calls)

    def size_bytes(self) -> None:
        """None: a server does not say how much disk a collection takes."""
        return

    def _write(self, kind: str, documents: Mapping[str, Document], owner: str, mode: models.UpdateMode | None) -> None:
        if kind in KINDS:
            raise ConfigError(f"documents of the kind {kind!r} make the spaces of a store; choose another kind")
        packed = pack(kind, documents, owner)
        if not self._is_fit:
            self._records.upgrade()
            if "owner" not in self._calls.info().payload_schema:
                self._calls.create_index("owner", "keyword")
            self._is_fit = True
        points = (
            models.PointStruct(
                id=str(_id(kind, key)),
                vector=[0.0],
                payload={"kind": kind, "key": key, "owner": owner, "record": record},
            )
            for key, record in packed.items()
        )
        for batch in batches(points, _CALL_DOCUMENTS, most_bytes=_CALL_BYTES, size=_bytes):
            self._calls.put(batch, mode)

    def _entries(self, filter: models.Filter) -> Iterator[Entry]:
        start: Any = None
        while True:
            page, start = self._calls.scroll(filter, _CALL_DOCUMENTS, start, True, False)
            yield from map(self._entry, page)
            if start is None:
                return

    def _entry(self, record: models.Record) -> Entry:
        payload: dict[str, Any] = record.payload or {}
        try:
            entry = Entry(payload["kind"], payload["key"], payload["owner"], orjson.loads(payload["record"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(record) from error
        if not isinstance(entry.document, dict):
            raise self._damaged(record)
        return entry

    def _damaged(self, record: models.Record) -> StoreError:
        return StoreError(
            f"the document {record.id} in {self._calls.name} at {self._calls.connection.location} is damaged. Restore "
            "the store from a snapshot; signatures are not concerned, and queries work"
        )


def _id(kind: str, key: str) -> UUID:
    return uuid5(_NAMESPACE, json.dumps([kind, key], separators=(",", ":")))


def _bytes(point: models.PointStruct) -> int:
    return len((point.payload or {})["record"])


def _filter(kind: str, owner: str | None) -> models.Filter:
    wanted = {"kind": kind} if owner is None else {"kind": kind, "owner": owner}
    return models.Filter(
        must=[models.FieldCondition(key=name, match=models.MatchValue(value=value)) for name, value in wanted.items()]
    )
