"""Rows that the tests of this folder store, and how they look at stores."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np

from rise_store.store import Backend, Payload
from tests.ingest.examples import OpenStore, Row, story_rows


def rows(count: int, start: int = 0) -> list[Row]:
    """Stories with a licence, a flag, nested metadata and a float that needs all of its digits."""
    return [
        row
        | {
            "license": ("MIT", "CC0-1.0")[number % 2],
            "metadata": {"page": number, "draft": number == 3, "source": {"kind": "web"}, "weight": 0.1 + number / 3},
        }
        for number, row in enumerate(story_rows(count, start), start)
    ]


TALES = rows(8)
NOTES = rows(4, start=7)  # row-7 is an id of both datasets


def contents(store: OpenStore | Backend) -> dict[UUID, tuple[Payload, bytes]]:
    """All that the only space of a store holds: id -> payload, and the vector's bytes."""
    backend = store.backend if isinstance(store, OpenStore) else store
    (space,) = backend.spaces()
    points = backend.open_collection(space.fingerprint).scroll(with_vectors=True)
    return {point.id: (point.payload, vector_of(point).tobytes()) for point in points}


def vector_of(point: Any) -> Any:
    """A point's vector; fails where it has none."""
    assert point.vector is not None
    return np.asarray(point.vector, dtype=np.float32)
