"""The documents of a store on a server, beside those that make its spaces: in the collection of its catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID, uuid5

import orjson
from qdrant_client import models

from rise_store.store.backend import Document
from rise_store.store.batches import batches
from rise_store.store.server.calls import Calls

_NAMESPACE = UUID("2f6e0b9c-7a54-4d0f-8f5c-6d1b3a9e4c21")  # of the ids of documents; may never change
_PAGE = 256


class ServerCatalogue:
    """The documents in the collection behind `calls`, which exists. See `Catalogue`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        for field in ("kind", "owner"):
            calls.create_index(field, "keyword")

    def put(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """See `Catalogue.put`."""
        points = [
            models.PointStruct(
                id=str(_id(kind, key)),
                vector=[0.0],
                payload={"kind": kind, "key": key, "owner": owner, "record": orjson.dumps(document).decode()},
            )
            for key, document in documents.items()
        ]
        for batch in batches(points, _PAGE):
            self._calls.put(batch)

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Document]:
        """See `Catalogue.get`."""
        found: dict[str, Document] = {}
        for batch in batches((_id(kind, key) for key in keys), _PAGE):
            for record in self._calls.retrieve(batch):
                payload: dict[str, Any] = record.payload or {}
                found[payload["key"]] = orjson.loads(payload["record"])
        return found

    def scan(self, kind: str, *, owner: str | None = None) -> Iterator[tuple[str, Document]]:
        """See `Catalogue.scan`."""
        start: Any = None
        while True:
            page, start = self._calls.scroll(_filter(kind, owner), _PAGE, start, True, False)
            for record in page:
                payload: dict[str, Any] = record.payload or {}
                yield payload["key"], orjson.loads(payload["record"])
            if start is None:
                return

    def count(self, kind: str, *, owner: str | None = None) -> int:
        """See `Catalogue.count`."""
        return self._calls.count(_filter(kind, owner))

    def remove(self, kind: str, keys: Iterable[str]) -> None:
        """See `Catalogue.remove`."""
        for batch in batches((str(_id(kind, key)) for key in keys), _PAGE):
            self._calls.delete(models.PointIdsList(points=list(batch)))


def _id(kind: str, key: str) -> UUID:
    return uuid5(_NAMESPACE, json.dumps([kind, key], separators=(",", ":")))


def _filter(kind: str, owner: str | None) -> models.Filter:
    wanted = {"kind": kind} if owner is None else {"kind": kind, "owner": owner}
    return models.Filter(
        must=[models.FieldCondition(key=name, match=models.MatchValue(value=value)) for name, value in wanted.items()]
    )
