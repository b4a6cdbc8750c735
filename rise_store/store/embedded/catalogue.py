"""The catalogue of an embedded store: a shard whose points carry documents, and a vector of no meaning."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid5

import numpy as np
import orjson
import qdrant_edge as edge

from rise_store.store.backend import Document
from rise_store.store.batches import batches
from rise_store.store.embedded.engine import Engine, engine_errors
from rise_store.store.embedded.trial import try_opening

_NAMESPACE = UUID("2f6e0b9c-7a54-4d0f-8f5c-6d1b3a9e4c21")  # of the ids of documents; may never change
_VECTOR = "none"
_NOTHING = np.zeros(1, dtype=np.float32)
_PAGE = 1_000


class EmbeddedCatalogue:
    """The catalogue in the folder `root`/catalogue; `StoreError` when it is damaged. See `Catalogue`."""

    def __init__(self, root: Path, location: str) -> None:
        folder = root / "catalogue"
        with engine_errors(location, "open its catalogue"):
            if not folder.exists():
                draft = root / ".new-catalogue"
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                shard = edge.EdgeShard.create(str(draft), _config())
                for field in ("kind", "owner"):
                    keyword = edge.PayloadSchemaType.Keyword
                    shard.update(edge.UpdateOperation.create_field_index(field, keyword))
                shard.flush()
                shard.close()
                os.rename(draft, folder)
        try_opening(folder)
        self._engine = Engine(folder, location, _config())

    def put(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """See `Catalogue.put`."""
        points = [
            edge.Point(
                _id(kind, key),
                cast(Any, {_VECTOR: _NOTHING.data}),
                {"kind": kind, "key": key, "owner": owner, "record": orjson.dumps(document).decode()},
            )
            for key, document in documents.items()
        ]
        with self._engine.using("write its catalogue") as shard:
            for batch in batches(points, _PAGE):
                shard.update(edge.UpdateOperation.upsert_points(list(batch)))

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Document]:
        """See `Catalogue.get`."""
        found: dict[str, Document] = {}
        for batch in batches((_id(kind, key) for key in keys), _PAGE):
            with self._engine.using("read its catalogue") as shard:
                for record in shard.retrieve(list(batch), True, False):
                    payload = cast(dict[str, Any], record.payload)
                    found[payload["key"]] = orjson.loads(payload["record"])
        return found

    def scan(self, kind: str, *, owner: str | None = None) -> Iterator[tuple[str, Document]]:
        """See `Catalogue.scan`."""
        start: Any = None
        while True:
            with self._engine.using("read its catalogue") as shard:
                page, start = shard.scroll(
                    edge.ScrollRequest(offset=start, limit=_PAGE, filter=_filter(kind, owner), with_payload=True)
                )
            for record in page:
                payload = cast(dict[str, Any], record.payload)
                yield payload["key"], orjson.loads(payload["record"])
            if start is None:
                return

    def count(self, kind: str, *, owner: str | None = None) -> int:
        """See `Catalogue.count`."""
        with self._engine.using("read its catalogue") as shard:
            return shard.count(edge.CountRequest(exact=True, filter=_filter(kind, owner)))

    def remove(self, kind: str, keys: Iterable[str]) -> None:
        """See `Catalogue.remove`."""
        for batch in batches((_id(kind, key) for key in keys), _PAGE):
            with self._engine.using("write its catalogue") as shard:
                shard.update(edge.UpdateOperation.delete_points(list(batch)))

    def close(self) -> None:
        """Flush and close; closing twice is fine."""
        self._engine.close()


def _id(kind: str, key: str) -> UUID:
    return uuid5(_NAMESPACE, json.dumps([kind, key], separators=(",", ":")))


def _filter(kind: str, owner: str | None) -> edge.Filter:
    conditions = [edge.FieldCondition(key="kind", match=edge.MatchValue(kind))]
    if owner is not None:
        conditions.append(edge.FieldCondition(key="owner", match=edge.MatchValue(owner)))
    return edge.Filter(must=cast(Any, conditions))


def _config() -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={_VECTOR: edge.EdgeVectorParams(size=1, distance=edge.Distance.Dot)},
        hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
        wal_enabled=True,
    )
