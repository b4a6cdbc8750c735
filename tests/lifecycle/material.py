"""Rows that the tests of this folder store, and how they look at stores."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np

from rise_store.records import ChannelNorms, EstimatorConfig, ModelReference, Space, Storage
from rise_store.store import Backend, Collection, Payload, Point, build_payload, point_id, tables_sha256
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


def synthetic_collection(backend: Backend, count: int, dim: int, vectors: str = "float16") -> Collection:
    """A collection of `count` points of random unit vectors [dim] in a space of its own."""
    tables = {"hidden_bucket": np.arange(7, dtype=np.int32) % 3, "hidden_sign": np.ones(7, dtype=np.int8)}
    space = Space(
        fingerprint=f"5ace{dim:08x}",
        model=ModelReference(name="none"),
        architecture="None",
        hidden_size=7,
        vocabulary_size=11,
        estimator=EstimatorConfig(kr=dim - 1, kh=1, kg=1),
        tables_sha256=tables_sha256(tables),
        created_at="2026-01-01T00:00:00Z",
        created_with="0.1.0",
        storage=Storage.model_validate({"vectors": vectors}),
    )
    collection = backend.create_space(space, tables)
    random = np.random.default_rng(dim)
    for first in range(0, count, 100):
        points = []
        for number in range(first, min(first + 100, count)):
            vector = random.standard_normal(dim).astype(np.float32)
            vector /= np.linalg.norm(vector)
            rh, gh = (float(np.linalg.norm(channel)) for channel in np.split(vector, [space.estimator.dim_rh]))
            payload = build_payload(
                example_id=f"row-{number}",
                dataset="synthetic",
                content_sha256=f"{number:064x}",
                run_id="run",
                ingested_at="2026-01-01T00:00:00Z",
                tokens=number,
                chunks=1,
                channel_norms=ChannelNorms(rh=rh, gh=gh),
            )
            id_ = point_id(space.fingerprint, "synthetic", f"row-{number}")
            points.append(Point(id_, vector, payload))
        collection.upsert(points)
    return collection
