"""How large the live rows of a collection are, whatever its files take."""

from __future__ import annotations

import orjson

from rise_store.store.backend import Collection

_SAMPLE_ROWS = 1_000


def logical_bytes(collection: Collection) -> int:
    """Bytes of the live rows: their signatures as they are stored, and their payloads as JSON.

    An estimate: the payloads' size comes from 1,000 rows at random. Indexes, logs and deleted rows are no part of it.
    """
    rows = collection.count()
    sample = collection.sample(_SAMPLE_ROWS)
    payload_bytes = sum(len(orjson.dumps(row.payload)) for row in sample)
    space = collection.space
    return rows * space.storage.bytes_per_vector(space.dim) + payload_bytes * rows // max(1, len(sample))
