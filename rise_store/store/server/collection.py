"""The points of one space on a server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from qdrant_client import models

from rise_store.errors import FilterError, StoreError
from rise_store.records import Space
from rise_store.store.backend import Approximation, Hit, IndexKind, Payload, Point, SearchRequest, StoredPoint, Vector
from rise_store.store.batches import batches
from rise_store.store.filters import Filter
from rise_store.store.json_values import encoded_bytes
from rise_store.store.paths import engine_path, join_path, parse_path
from rise_store.store.payload import check_keyword_field, check_mark, describe_example
from rise_store.store.requests import LARGEST, check_limit, check_requests
from rise_store.store.selection import read_payload
from rise_store.store.server.answers import answers
from rise_store.store.server.calls import Calls
from rise_store.store.server.connection import Connection
from rise_store.store.server.optimizer import compact, wait_until_green
from rise_store.store.server.payloads import to_wire
from rise_store.store.server.points import vector_of
from rise_store.store.server.queries import EXACT, nearest, payload_selector
from rise_store.store.server.schema import index_kind
from rise_store.store.translate import to_client
from rise_store.store.vectors import check_queries, check_signatures, scaled_queries

BATCH_ROWS = 64  # rows a call, where vectors travel
BATCH_BYTES = 16 * 2**20  # and bytes
_PAGE_ROWS = 1_000  # rows a call without vectors
_LARGEST_ID = 2**128 - 1


class ServerCollection:
    """The points of `space`, in the collection `name` of a server. Safe for threads, and beside other clients."""

    def __init__(self, space: Space, connection: Connection, name: str) -> None:
        self.space = space
        self._calls = Calls(connection, name)
        self._known_indexes: dict[str, IndexKind] | None = None

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert or replace points; the server has written them to its log once it returns.

        The whole batch is checked first: `SignatureError` for a wrong dimension, a dtype other than float32, NaN or
        Inf, `InputError` for a payload that cannot be stored, and nothing is written. Of points with the same id the
        last one counts. Sent in calls of at most 64 rows and 16 MiB; where one fails for good, those before it are
        stored. `StoreFullError` when the server's disk is full.
        """
        check_signatures(points, self.space.dim)
        payloads = [to_wire(point.payload, describe_example(point.payload, point.id)) for point in points]
        latest = {point.id: (point.vector, payload) for point, payload in zip(points, payloads, strict=True)}
        for batch in batches(latest.items(), BATCH_ROWS, most_bytes=BATCH_BYTES, size=_point_bytes):
            self._calls.upsert([(id, *held) for id, held in batch])

    def set_payload(self, payloads: Mapping[UUID, Payload]) -> None:
        """Replace the payloads of stored points; their vectors stay.

        `InputError` for a payload that cannot be stored and `StoreError` for an unknown id, before any write.
        """
        encoded = {id: to_wire(payload, describe_example(payload, id)) for id, payload in payloads.items()}
        unknown = encoded.keys() - self._stored(list(encoded))
        if unknown:
            some = f"{describe_example(payloads[min(unknown)])}, point {min(unknown)}"
            raise StoreError(f"{len(unknown)} of {len(encoded)} points are not stored, among them {some}. Upsert them")
        for batch in batches(encoded.items(), BATCH_ROWS, most_bytes=BATCH_BYTES, size=lambda i: encoded_bytes(i[1])):
            self._calls.overwrite_payloads(batch)

    def mark(self, where: Filter, field: str, value: str) -> None:
        """Set a keyword field of our own on every point that the filter lets through, in one call."""
        check_mark(field, value)
        if field not in self._indexes():  # of a release that did not know the field
            self.create_index(field, "keyword")
        self._calls.set_payload({field: value}, self._filter(where))

    def delete(self, ids: Iterable[UUID]) -> None:
        """Delete points; unknown ids are ignored. Their bytes stay in the server's files until it rewrites these."""
        for batch in batches(ids, _PAGE_ROWS):
            self._calls.delete(models.PointIdsList(points=[str(id) for id in batch]))

    def delete_where(self, where: Filter) -> None:
        """Delete every point that the filter lets through."""
        self._calls.delete(models.FilterSelector(filter=self._filter(where)))

    def retrieve(self, ids: Sequence[UUID], *, with_vectors: bool = False) -> dict[UUID, StoredPoint]:
        """The stored ones among `ids`."""
        found: dict[UUID, StoredPoint] = {}
        for batch in batches(ids, BATCH_ROWS if with_vectors else _PAGE_ROWS):
            records = self._calls.retrieve(batch, vectors=with_vectors)
            found.update((point.id, point) for point in map(_stored_point, records))
        return found

    def search(self, requests: Sequence[SearchRequest], approximation: Approximation | None = None) -> list[list[Hit]]:
        """Answer requests in calls of 32; see `Collection.search`.

        The server rounds queries as it did the signatures; scores are off by about 1e-5 of the largest one.
        `SignatureError` for queries of another shape, NaN or Inf; `FilterError` for a filter that the server cannot
        express.
        """
        check_requests(requests, self.space, approximation)
        indexes = self._indexes() if any(request.where is not None for request in requests) else {}
        return answers(self._calls, self.space, indexes, requests, approximation)

    def score(self, query: Vector, ids: Sequence[UUID]) -> dict[UUID, float]:
        """Dot products of `query` [dim] with the stored ones among `ids`, as exact as those of `search`."""
        rows, scales = scaled_queries(check_queries(query[None], self.space.dim))
        scores: dict[UUID, float] = {}
        for batch in batches(dict.fromkeys(ids), _PAGE_ROWS):
            found = self._calls.score(nearest(rows[0]), batch, EXACT)
            scores.update((UUID(str(hit.id)), float(hit.score * scales[0])) for hit in found)
        return scores

    def count(self, where: Filter | None = None) -> int:
        """Exact number of points."""
        return self._calls.count(self._filter(where))

    def scroll(
        self,
        where: Filter | None = None,
        *,
        with_vectors: bool = False,
        fields: Sequence[str] | None = None,
        after: UUID | None = None,
    ) -> Iterator[StoredPoint]:
        """Points, each once, in the order of their ids; read page by page, so that writes may come between."""
        if after is not None and after.int == _LARGEST_ID:
            return iter(())
        start = None if after is None else str(UUID(int=after.int + 1))
        return self._pages(self._filter(where), with_vectors, fields, start)

    def sample(self, size: int, *, with_vectors: bool = False) -> list[StoredPoint]:
        """Points at random, all different; all of them where fewer than `size` are stored."""
        if size < 1:
            return []
        # One that was deleted meanwhile is left out.
        return list(self.retrieve(self._calls.sample(min(size, LARGEST)), with_vectors=with_vectors).values())

    def facet(self, field: str, limit: int = 100, where: Filter | None = None) -> dict[str, int]:
        """Exact counts by value of a field with a keyword index, largest first; `FilterError` for another field.

        `ConfigError` for a limit out of range.
        """
        check_limit(limit, "counts by value")
        filter = self._filter(where)
        check_keyword_field(field, self.indexes())
        counts = self._calls.facet(engine_path(field), limit, filter)
        return {value: count for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count}

    def has_field(self, field: str) -> bool:
        """Whether any stored point has a value at this payload path; null and the empty list are none."""
        empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=engine_path(field)))
        records, _ = self._calls.scroll(models.Filter(must_not=[empty]), 1, None, False, False)
        return bool(records)

    def create_index(self, field: str, kind: IndexKind) -> None:
        """Index a payload field; `FilterError` when it has an index of another kind."""
        known = self.indexes().get(join_path(parse_path(field)))
        if known is None:
            self._calls.create_index(engine_path(field), kind)
            self._known_indexes = None
        elif known != kind:
            raise FilterError(f"{field} has a {known} index already, and can have no {kind} index beside it")

    def indexes(self) -> dict[str, IndexKind]:
        """The indexed payload fields."""
        schema = self._calls.info().payload_schema
        kinds = {join_path(parse_path(path)): index_kind(index.data_type) for path, index in sorted(schema.items())}
        self._known_indexes = {field: kind for field, kind in kinds.items() if kind is not None}
        return dict(self._known_indexes)

    def tidy(self) -> None:
        """Wait until the server has built what the storage asks for, at most a minute; it goes on by itself."""
        wait_until_green(self._calls, time.monotonic() + 60)

    def compact(self) -> None:
        """Ask the server to rewrite what holds deleted or replaced points; see `optimizer.compact` for what it does."""
        compact(self._calls)

    def size_bytes(self) -> None:
        """None: a server does not say how much disk a collection takes."""
        return

    def _pages(
        self, filter: models.Filter | None, with_vectors: bool, fields: Sequence[str] | None, start: Any
    ) -> Iterator[StoredPoint]:
        limit = BATCH_ROWS if with_vectors else _PAGE_ROWS
        payload = payload_selector(fields)
        while True:
            records, start = self._calls.scroll(filter, limit, start, payload, with_vectors)
            yield from (_stored_point(record, fields) for record in records)
            if start is None:
                return

    def _stored(self, ids: Sequence[UUID]) -> set[UUID]:
        found: set[UUID] = set()
        for batch in batches(ids, _PAGE_ROWS):
            records = self._calls.retrieve(batch, payload=False)
            found.update(UUID(str(record.id)) for record in records)
        return found

    def _filter(self, where: Filter | None) -> models.Filter | None:
        return None if where is None else to_client(where, self._indexes())

    def _indexes(self) -> dict[str, IndexKind]:
        """The indexes as last seen, which decide what filters may ask for: nobody removes one in passing."""
        return self.indexes() if self._known_indexes is None else self._known_indexes


def _point_bytes(item: tuple[UUID, tuple[Vector, Payload]]) -> int:
    vector, payload = item[1]
    return vector.nbytes + encoded_bytes(payload)


def _stored_point(record: models.Record, fields: Sequence[str] | None = None) -> StoredPoint:
    return StoredPoint(UUID(str(record.id)), read_payload(record.payload, fields), vector_of(record))
