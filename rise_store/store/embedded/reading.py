"""Reading points of a shard page by page, so that writes may come between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from rise_store.store.backend import StoredPoint
from rise_store.store.embedded.engine import VECTOR, Engine
from rise_store.store.selection import engine_fields, read_payload

BATCH_ROWS = 64  # vectors a call: writes are as fast as with 1 or 16 and slower from 128
PAGE_ROWS = 1_000  # rows a call without vectors
_LARGEST_ID = 2**128 - 1


def scroll_points(
    engine: Engine,
    filter: edge.Filter | None,
    *,
    with_vectors: bool,
    fields: Sequence[str] | None,
    after: UUID | None,
) -> Iterator[StoredPoint]:
    """Points in the order of their ids, those above `after`."""
    if after is not None and after.int == _LARGEST_ID:
        return
    offset: Any = None if after is None else UUID(int=after.int + 1)
    while True:
        with engine.using("read rows") as shard:
            records, offset = shard.scroll(
                edge.ScrollRequest(
                    offset,
                    BATCH_ROWS if with_vectors else PAGE_ROWS,
                    filter,
                    with_payload=payload_selector(fields),
                    with_vector=with_vectors,
                )
            )
            points = [stored_point(record, fields) for record in records]
        yield from points
        if offset is None:
            return


def scroll_ids(engine: Engine, filter: edge.Filter | None) -> Iterator[list[UUID]]:
    """Pages of ids, in order."""
    offset: Any = None
    while True:
        with engine.using("read rows") as shard:
            records, offset = shard.scroll(edge.ScrollRequest(offset, PAGE_ROWS, filter, with_payload=False))
        yield [cast(UUID, record.id) for record in records]
        if offset is None:
            return


def stored_ids(shard: edge.EdgeShard, ids: Sequence[UUID]) -> set[UUID]:
    """The stored ones among `ids`."""
    return {cast(UUID, record.id) for record in shard.retrieve(list(ids), False, False)}


def stored_point(record: edge.Record, fields: Sequence[str] | None = None) -> StoredPoint:
    """A record of the engine as a point, with these fields of its payload."""
    vectors: Any = record.vector
    vector = np.array(vectors[VECTOR], dtype=np.float32) if vectors else None
    return StoredPoint(cast(UUID, record.id), read_payload(record.payload, fields), vector)


def payload_selector(fields: Sequence[str] | None) -> Any:
    """What to have the engine read of payloads for `read_payload`."""
    return True if fields is None else engine_fields(fields)
