"""The points of one space in the embedded engine.

All facts about the engine in here were measured with qdrant-edge-py 0.9.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from rise_store.errors import ConfigError, StoreError
from rise_store.records import Space
from rise_store.store.backend import Approximation, Hit, IndexKind, Payload, Point, SearchRequest, StoredPoint, Vector
from rise_store.store.embedded.disk import size_bytes
from rise_store.store.embedded.engine import VECTOR
from rise_store.store.embedded.upkeep import Upkeep
from rise_store.store.filters import Filter
from rise_store.store.json_values import decode, encode, encoded_bytes
from rise_store.store.paths import engine_path
from rise_store.store.payload import check_keyword_field, describe_example
from rise_store.store.translate import to_edge
from rise_store.store.vectors import check_queries, check_signatures, scaled_queries

_BATCH_ROWS = 64  # vectors a call: writes are as fast as with 1 or 16 and slower from 128
_PAGE_ROWS = 1_000  # rows a call without vectors
_EXACT = edge.SearchParams(exact=True)

T = TypeVar("T")


class EmbeddedCollection:
    """The points of `space`, in the folder of the space; `StoreError` when they are damaged.

    Safe for threads: calls wait for each other, and the engine holds the interpreter lock while it works.
    """

    def __init__(self, space: Space, folder: Path, location: str) -> None:
        self.space = space
        self._folder = folder
        self._upkeep = Upkeep(folder, space.dim, location)
        self._engine = self._upkeep.engine

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert or replace points; durable against a killed process once it returns.

        The whole batch is checked first: `SignatureError` for a wrong dimension, a dtype other than float32, NaN or
        Inf, `InputError` for a payload that cannot be stored, and nothing is written. Of points with the same id the
        last one counts. `StoreFullError` when the disk is nearly full; the rows of earlier calls are kept.
        """
        check_signatures(points, self.space.dim)
        payloads = [encode(point.payload, describe_example(point.payload, point.id)) for point in points]
        latest = {point.id: (point.vector, payload) for point, payload in zip(points, payloads, strict=True)}
        for batch in _batches(latest.items(), _BATCH_ROWS):
            with self._engine.using("store rows") as shard:
                self._upkeep.before_write(
                    "store rows",
                    rows=len(batch),
                    payload_bytes=sum(encoded_bytes(payload) for _, (_, payload) in batch),
                    replaces=bool(self._stored(shard, [id for id, _ in batch])),
                )
                # Of all types that the engine takes, memoryviews are the fastest: 0.20 ms a row of 24,576.
                converted = [
                    edge.Point(id, cast(Any, {VECTOR: np.ascontiguousarray(vector).data}), payload)
                    for id, (vector, payload) in batch
                ]
                shard.update(edge.UpdateOperation.upsert_points(converted))
                self._upkeep.after_write(len(batch))

    def set_payload(self, payloads: Mapping[UUID, Payload]) -> None:
        """Replace the payloads of stored points; their vectors stay.

        `InputError` for a payload that cannot be stored and `StoreError` for an unknown id, before any write.
        """
        encoded = {id: encode(payload, describe_example(payload, id)) for id, payload in payloads.items()}
        with self._engine.using("store payloads") as shard:
            unknown = encoded.keys() - self._stored(shard, list(encoded))
            if unknown:
                some = f"{describe_example(payloads[min(unknown)])}, point {min(unknown)}"
                raise StoreError(
                    f"{len(unknown)} of {len(encoded)} points are not stored, among them {some}. Upsert them"
                )
            for batch in _batches(encoded.items(), _BATCH_ROWS):
                # A point of a sealed segment moves to the growing one with its vector.
                size = sum(encoded_bytes(payload) for _, payload in batch)
                self._upkeep.before_write("store payloads", rows=len(batch), payload_bytes=size, replaces=True)
                for id, payload in batch:
                    shard.update(edge.UpdateOperation.overwrite_payload([id], payload))
                self._upkeep.after_write(len(batch))

    def delete(self, ids: Iterable[UUID]) -> None:
        """Delete points; unknown ids are ignored. Their bytes stay in the files until `tidy`."""
        for batch in _batches(ids, _PAGE_ROWS):
            with self._engine.using("delete rows") as shard:
                stored = self._stored(shard, batch)
                if stored:
                    self._upkeep.before_write("delete rows", rows=0, payload_bytes=0, replaces=True)
                    shard.update(edge.UpdateOperation.delete_points(list(stored)))
                    self._upkeep.after_write(len(stored))

    def retrieve(self, ids: Sequence[UUID], *, with_vectors: bool = False) -> dict[UUID, StoredPoint]:
        """The stored ones among `ids`."""
        found: dict[UUID, StoredPoint] = {}
        for batch in _batches(ids, _BATCH_ROWS if with_vectors else _PAGE_ROWS):
            with self._engine.using("read rows") as shard:
                points = map(_stored_point, shard.retrieve(list(batch), True, with_vectors))
                found.update((point.id, point) for point in points)
        return found

    def search(self, requests: Sequence[SearchRequest], approximation: Approximation | None = None) -> list[list[Hit]]:
        """Answer requests in one pass; see `Collection.search`.

        The engine rounds queries to float16, as it did the signatures; scores are off by about 1e-5 of the largest one.
        `SignatureError` for queries of another shape, NaN or Inf; `FilterError` for a filter that the engine cannot
        express.
        """
        for request in requests:
            if request.limit < 1:
                raise ConfigError(f"the limit of a search is {request.limit}; ask for at least 1 answer")
        answers: list[list[Hit]] = []
        for batch in _batches(requests, _BATCH_ROWS):
            vectors = np.stack([request.vector for request in batch])
            rows, scales = scaled_queries(check_queries(vectors, self.space.dim))
            queries = [
                _nearest(row, request.limit, to_edge(request.where), with_payload=True)
                for row, request in zip(rows, batch, strict=True)
            ]
            with self._engine.using("search") as shard:
                found = shard.query_batch(edge.QueryBatchRequest(queries))
            for hits, scale in zip(found, scales, strict=True):
                answers.append([Hit(cast(UUID, h.id), float(h.score * scale), decode(h.payload)) for h in hits])
        return answers

    def score(self, query: Vector, ids: Sequence[UUID]) -> dict[UUID, float]:
        """Dot products of `query` [dim] with the stored ones among `ids`, as exact as those of `search`."""
        rows, scales = scaled_queries(check_queries(query[None], self.space.dim))
        wanted: set[Any] = set(ids)
        if not wanted:
            return {}
        only = edge.Filter(must=[edge.HasIdCondition(wanted)])
        with self._engine.using("search") as shard:
            hits = shard.query(_nearest(rows[0], len(wanted), only, with_payload=False))
        return {cast(UUID, hit.id): float(hit.score * scales[0]) for hit in hits}

    def count(self, where: Filter | None = None) -> int:
        """Exact number of points."""
        filter = to_edge(where)
        with self._engine.using("count rows") as shard:
            return shard.count(edge.CountRequest(exact=True, filter=filter))

    def scroll(
        self,
        where: Filter | None = None,
        *,
        with_vectors: bool = False,
        fields: Sequence[str] | None = None,
        after: UUID | None = None,
    ) -> Iterator[StoredPoint]:
        """Points, each once, in the order of their ids; read page by page, so that writes may come between."""
        return self._pages(to_edge(where), with_vectors)

    def sample(self, size: int, *, with_vectors: bool = False) -> list[StoredPoint]:
        """Points at random, all different."""
        raise NotImplementedError

    def delete_where(self, where: Filter) -> None:
        """Delete every point that the filter lets through."""
        raise NotImplementedError

    def create_index(self, field: str, kind: IndexKind) -> None:
        """Index a payload field."""
        raise NotImplementedError

    def indexes(self) -> dict[str, IndexKind]:
        """The indexed payload fields."""
        raise NotImplementedError

    def compact(self) -> None:
        """Free what deleted and replaced points left."""
        self._upkeep.tidy()

    def facet(self, field: str, limit: int = 100, where: Filter | None = None) -> dict[str, int]:
        """Exact counts by value of one of our own keyword fields, largest first; `FilterError` for another field."""
        check_keyword_field(field)
        with self._engine.using("count by value") as shard:
            hits = shard.facet(edge.FacetRequest(field, limit=limit, exact=True)).hits
        ranked = sorted(hits, key=lambda hit: (-hit.count, str(hit.value)))
        # The growing segment still lists the values of deleted points, with a count of 0.
        return {str(hit.value): hit.count for hit in ranked if hit.count}

    def has_field(self, field: str) -> bool:
        """Whether any stored point has a value at this payload path; null and the empty list are none."""
        filled = edge.Filter(must_not=[edge.IsEmptyCondition(engine_path(field))])
        with self._engine.using("look for a field") as shard:
            records, _ = shard.scroll(edge.ScrollRequest(limit=1, filter=filled, with_payload=False))
        return bool(records)

    def tidy(self) -> None:
        """Merge segments so that searches use every core, free what deletes left, and flush; may take a while.

        After it, nothing that was deleted or replaced before is left in the files of the space, its log included.
        `StoreFullError` when the disk has no room for it: up to the size of the collection, when rows were deleted.
        """
        self._upkeep.tidy()

    def size_bytes(self) -> int:
        """Bytes that the collection takes on disk."""
        return size_bytes(self._folder)

    def close(self) -> None:
        """Flush and close; closing twice is fine."""
        self._upkeep.close()

    def _pages(self, filter: edge.Filter | None, with_vectors: bool) -> Iterator[StoredPoint]:
        offset: Any = None
        limit = _BATCH_ROWS if with_vectors else _PAGE_ROWS
        while True:
            with self._engine.using("read rows") as shard:
                request = edge.ScrollRequest(offset, limit, filter, with_payload=True, with_vector=with_vectors)
                records, offset = shard.scroll(request)
                points = [_stored_point(record) for record in records]
            yield from points
            if offset is None:
                return

    def _stored(self, shard: edge.EdgeShard, ids: Sequence[UUID]) -> set[UUID]:
        return {cast(UUID, record.id) for record in shard.retrieve(list(ids), False, False)}


def _nearest(row: Vector, limit: int, filter: edge.Filter | None, *, with_payload: bool) -> edge.QueryRequest:
    query = cast(Any, edge.Query).Nearest(row.data, using=VECTOR)
    return edge.QueryRequest(limit, query=query, filter=filter, params=_EXACT, with_payload=with_payload)


def _stored_point(record: edge.Record) -> StoredPoint:
    vectors: Any = record.vector
    vector = np.array(vectors[VECTOR], dtype=np.float32) if vectors else None
    return StoredPoint(cast(UUID, record.id), decode(record.payload), vector)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
