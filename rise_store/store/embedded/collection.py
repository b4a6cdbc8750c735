"""The points of one space in the embedded engine.

All facts about the engine in here were measured with qdrant-edge-py 0.9.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from rise_store.errors import FilterError, StoreError, StoreFullError
from rise_store.records import Space
from rise_store.store.backend import Approximation, Hit, IndexKind, Payload, Point, SearchRequest, StoredPoint, Vector
from rise_store.store.batches import batches
from rise_store.store.embedded.disk import size_bytes
from rise_store.store.embedded.engine import VECTOR, create_index, index_kind
from rise_store.store.embedded.queries import EXACT, answers, nearest
from rise_store.store.embedded.reading import (
    BATCH_ROWS,
    PAGE_ROWS,
    scroll_ids,
    scroll_points,
    stored_ids,
    stored_point,
)
from rise_store.store.embedded.upkeep import Upkeep
from rise_store.store.filters import Filter
from rise_store.store.json_values import encode, encoded_bytes
from rise_store.store.paths import engine_path, join_path, parse_path
from rise_store.store.payload import INDEXED_FIELDS, check_keyword_field, check_mark, describe_example
from rise_store.store.requests import LARGEST, check_limit, check_requests
from rise_store.store.translate import to_edge
from rise_store.store.vectors import check_queries, check_signatures, scaled_queries

_INDEX_BYTES = 256  # of an index, a row
_PAYLOAD_BYTES = 16_384  # of a row, where nobody counts: with the text of a chunk, and room for long ones


class EmbeddedCollection:
    """The points of `space`, in the folder of the space; `StoreError` when they are damaged.

    Safe for threads: calls wait for each other, and the engine holds the interpreter lock while it works.
    """

    def __init__(self, space: Space, folder: Path, location: str) -> None:
        self.space = space
        self._folder = folder
        self._upkeep = Upkeep(folder, space, location)
        self._engine = self._upkeep.engine
        with self._engine.using("list indexes") as shard:
            self._indexes = _indexes(shard)
        self._add_own_indexes()

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert or replace points; durable against a killed process once it returns.

        The whole batch is checked first: `SignatureError` for a wrong dimension, a dtype other than float32, NaN or
        Inf, `InputError` for a payload that cannot be stored, and nothing is written. Of points with the same id the
        last one counts. `StoreFullError` when the disk is nearly full; the rows of earlier calls are kept.
        """
        check_signatures(points, self.space.dim)
        payloads = [encode(point.payload, describe_example(point.payload, point.id)) for point in points]
        latest = {point.id: (point.vector, payload) for point, payload in zip(points, payloads, strict=True)}
        for batch in batches(latest.items(), BATCH_ROWS):
            with self._engine.using("store rows") as shard:
                self._upkeep.before_write(
                    "store rows",
                    rows=len(batch),
                    payload_bytes=sum(encoded_bytes(payload) for _, (_, payload) in batch),
                    replaces=bool(stored_ids(shard, [id for id, _ in batch])),
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
            unknown = encoded.keys() - stored_ids(shard, list(encoded))
            if unknown:
                some = f"{describe_example(payloads[min(unknown)])}, point {min(unknown)}"
                raise StoreError(
                    f"{len(unknown)} of {len(encoded)} points are not stored, among them {some}. Upsert them"
                )
            for batch in batches(encoded.items(), BATCH_ROWS):
                # A point of a sealed segment moves to the growing one with its vector.
                size = sum(encoded_bytes(payload) for _, payload in batch)
                self._upkeep.before_write("store payloads", rows=len(batch), payload_bytes=size, replaces=True)
                for id, payload in batch:
                    shard.update(edge.UpdateOperation.overwrite_payload([id], payload))
                self._upkeep.after_write(len(batch))

    def mark(self, where: Filter, field: str, value: str) -> None:
        """Set a keyword field of our own on every point that the filter lets through; see `Collection.mark`.

        A killed process may leave some of them as they were.
        """
        check_mark(field, value)
        # By ids, as in `delete_where`.
        for page in scroll_ids(self._engine, self._filter(where)):
            for batch in batches(page, BATCH_ROWS):
                with self._engine.using("mark rows") as shard:
                    # A point of a sealed segment moves to the growing one with its vector and its whole payload.
                    size = len(batch) * _PAYLOAD_BYTES
                    self._upkeep.before_write("mark rows", rows=len(batch), payload_bytes=size, replaces=True)
                    shard.update(edge.UpdateOperation.set_payload(list(batch), {field: value}))
                    self._upkeep.after_write(len(batch))

    def delete(self, ids: Iterable[UUID]) -> None:
        """Delete points; unknown ids are ignored. Their bytes stay in the files until `compact`."""
        for batch in batches(ids, PAGE_ROWS):
            with self._engine.using("delete rows") as shard:
                stored = stored_ids(shard, batch)
                if stored:
                    self._upkeep.before_write("delete rows", rows=0, payload_bytes=0, replaces=True)
                    shard.update(edge.UpdateOperation.delete_points(list(stored)))
                    self._upkeep.after_write(len(stored))

    def delete_where(self, where: Filter) -> None:
        """Delete every point that the filter lets through; a killed process may leave some of them."""
        # By ids: the log then says which ones, whatever the payloads are by the time it is replayed.
        for page in scroll_ids(self._engine, self._filter(where)):
            self.delete(page)

    def retrieve(self, ids: Sequence[UUID], *, with_vectors: bool = False) -> dict[UUID, StoredPoint]:
        """The stored ones among `ids`."""
        found: dict[UUID, StoredPoint] = {}
        for batch in batches(ids, BATCH_ROWS if with_vectors else PAGE_ROWS):
            with self._engine.using("read rows") as shard:
                points = map(stored_point, shard.retrieve(list(batch), True, with_vectors))
                found.update((point.id, point) for point in points)
        return found

    def search(self, requests: Sequence[SearchRequest], approximation: Approximation | None = None) -> list[list[Hit]]:
        """Answer requests in one pass; see `Collection.search`.

        The engine rounds queries to float16, as it did the signatures; scores are off by about 1e-5 of the largest one.
        `SignatureError` for queries of another shape, NaN or Inf; `FilterError` for a filter that the engine cannot
        express.
        """
        check_requests(requests, self.space, approximation)
        return answers(self._engine, self.space, self._indexes, requests, approximation)

    def score(self, query: Vector, ids: Sequence[UUID]) -> dict[UUID, float]:
        """Dot products of `query` [dim] with the stored ones among `ids`, as exact as those of `search`."""
        rows, scales = scaled_queries(check_queries(query[None], self.space.dim))
        wanted: set[Any] = set(ids)
        if not wanted:
            return {}
        only = edge.Filter(must=[edge.HasIdCondition(wanted)])
        with self._engine.using("search") as shard:
            request = edge.QueryRequest(len(wanted), query=nearest(rows[0]), filter=only, params=EXACT)
            hits = shard.query(request)
        return {cast(UUID, hit.id): float(hit.score * scales[0]) for hit in hits}

    def count(self, where: Filter | None = None) -> int:
        """Exact number of points."""
        filter = self._filter(where)
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
        return scroll_points(self._engine, self._filter(where), with_vectors=with_vectors, fields=fields, after=after)

    def sample(self, size: int, *, with_vectors: bool = False) -> list[StoredPoint]:
        """Points at random, all different; all of them where fewer than `size` are stored."""
        if size < 1:
            return []
        with self._engine.using("sample rows") as shard:
            drawn = shard.query(edge.QueryRequest(min(size, LARGEST), query=edge.Sample.Random))
        # One that was deleted meanwhile is left out.
        return list(self.retrieve([cast(UUID, point.id) for point in drawn], with_vectors=with_vectors).values())

    def create_index(self, field: str, kind: IndexKind) -> None:
        """Index a payload field; `FilterError` when it has an index of another kind."""
        name = join_path(parse_path(field))
        with self._engine.using("index a field") as shard:
            known = self._indexes.get(name)
            if known is None:
                size = shard.count(edge.CountRequest(exact=True)) * _INDEX_BYTES
                self._upkeep.before_write("index a field", rows=0, payload_bytes=size, replaces=False)
                shard.update(create_index(name, kind))
                shard.flush()
                self._indexes = _indexes(shard)
            elif known != kind:
                raise FilterError(f"{field} has a {known} index already, and can have no {kind} index beside it")

    def indexes(self) -> dict[str, IndexKind]:
        """The indexed payload fields."""
        return dict(self._indexes)

    def facet(self, field: str, limit: int = 100, where: Filter | None = None) -> dict[str, int]:
        """Exact counts by value of a field with a keyword index, largest first; `FilterError` for another field.

        `ConfigError` for a limit out of range.
        """
        check_limit(limit, "counts by value")
        filter = self._filter(where)
        check_keyword_field(field, self._indexes)
        with self._engine.using("count by value") as shard:
            hits = shard.facet(edge.FacetRequest(engine_path(field), limit=limit, exact=True, filter=filter)).hits
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
        """Merge segments so that searches use every core, build what the storage asks for, and flush.

        It may take a while, but rewrites no segment only because points in it were deleted or replaced.
        `StoreFullError` when the disk has no room for it.
        """
        self._upkeep.tidy()

    def compact(self) -> None:
        """Rewrite what holds deleted or replaced points; does nothing when there are none.

        After it, none of their bytes are left in the files of the space, its log included. `StoreFullError` when the
        disk has no room for it: up to the size of the collection.
        """
        self._upkeep.compact()

    def size_bytes(self) -> int:
        """Bytes that the collection takes on disk."""
        return size_bytes(self._folder)

    @property
    def failed(self) -> bool:
        """Whether an error closed it, as when `tidy` could not load the shard again; opening it anew may succeed."""
        return self._engine.failed

    def close(self) -> None:
        """Flush and close; closing twice is fine."""
        self._upkeep.close()

    def _add_own_indexes(self) -> None:
        """Index the fields of ours that the release which made the space did not know."""
        for field in INDEXED_FIELDS.keys() - self._indexes.keys():
            try:
                self.create_index(field, INDEXED_FIELDS[field])
            except StoreFullError:
                return  # filters find the same without an index

    def _filter(self, where: Filter | None) -> edge.Filter | None:
        return to_edge(where, self._indexes)


def _indexes(shard: edge.EdgeShard) -> dict[str, IndexKind]:
    schema = shard.info().payload_schema
    return {join_path(parse_path(path)): index_kind(index.data_type) for path, index in sorted(schema.items())}
