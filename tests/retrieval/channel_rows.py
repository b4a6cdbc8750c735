"""Rows made of unnormalised channels, so that a test can recompute their signatures under any lambdas in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rise_store import EstimatorConfig, Space
from rise_store.records import ChannelNorms, ModelReference, Storage
from rise_store.store import Collection, Point, build_payload, open_store, point_id, tables_sha256
from tests.ingest.examples import quick_folder

Array = npt.NDArray[np.float64]
ESTIMATOR = EstimatorConfig(kr=12, kh=4, kg=8, lambda_rh=0.8, lambda_gh=0.3)
TABLES: dict[str, npt.NDArray[Any]] = {"hidden_bucket": np.zeros(4, dtype=np.int64)}
FINGERPRINT = "5ace0002"


@dataclass(frozen=True)
class Channels:
    """RH (n, dim_rh) and GH (n, dim_gh) of n examples, of any length."""

    rh: Array
    gh: Array

    @classmethod
    def random(cls, count: int, seed: int, config: EstimatorConfig = ESTIMATOR) -> Channels:
        """Channels whose lengths vary by a factor of 100, row by row."""
        draw = np.random.default_rng(seed)
        lengths = 10 ** draw.uniform(-1, 1, (2, count, 1))
        return cls(
            lengths[0] * draw.standard_normal((count, config.dim_rh)),
            lengths[1] * draw.standard_normal((count, config.dim_gh)),
        )

    def signatures(self, rh: float = ESTIMATOR.lambda_rh, gh: float = ESTIMATOR.lambda_gh) -> Array:
        """`normalised [rh RH, gh GH]`, (n, dim), by definition; 0 where nothing is left."""
        joined = np.concatenate([rh * self.rh, gh * self.gh], axis=1)
        norms = np.linalg.norm(joined, axis=1, keepdims=True)
        return np.divide(joined, norms, out=np.zeros_like(joined), where=norms > 0)

    def cosines(self, other: Channels) -> tuple[Array, Array]:
        """The cosine of every row of `self` with every row of `other`, by channel, (n, m) each."""
        return _unit(self.rh) @ _unit(other.rh).T, _unit(self.gh) @ _unit(other.gh).T


def _unit(rows: Array) -> Array:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def stored_points(channels: Channels, config: EstimatorConfig = ESTIMATOR) -> list[Point]:
    """The points of rows `row-0` onwards, in three datasets, with and without licence and topic."""
    signatures = channels.signatures(config.lambda_rh, config.lambda_gh)
    points = []
    for number, signature in enumerate(signatures):
        halves = np.split(signature, [config.dim_rh])
        norms = ChannelNorms(rh=float(np.linalg.norm(halves[0])), gh=float(np.linalg.norm(halves[1])))
        payload = build_payload(
            example_id=f"row-{number}",
            dataset=("books", "forum", "notes")[number % 3],
            content_sha256=f"{number:064x}",
            run_id="run-1",
            ingested_at="2026-01-01T00:00:00Z",
            tokens=10 + number,
            chunks=1,
            channel_norms=norms,
            license=("MIT", None)[number % 2],
            metadata={"number": number} | ({"topic": number % 5} if number % 4 else {}),
        )
        points.append(Point(point_id(FINGERPRINT, "rows", str(number)), signature.astype(np.float32), payload))
    return points


def space_of(config: EstimatorConfig = ESTIMATOR, storage: Storage | None = None) -> Space:
    """The space of the rows."""
    return Space(
        fingerprint=FINGERPRINT,
        model=ModelReference(name="tiny"),
        architecture="TinyForCausalLM",
        hidden_size=4,
        vocabulary_size=11,
        estimator=config,
        tables_sha256=tables_sha256(TABLES),
        created_at="2026-01-01T00:00:00Z",
        created_with="0.1.0",
        storage=storage or Storage(),
    )


@contextmanager
def collection_of(
    channels: Channels, config: EstimatorConfig = ESTIMATOR, storage: Storage | None = None
) -> Iterator[Collection]:
    """A collection of the embedded engine that holds the rows."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        collection = backend.create_space(space_of(config, storage), TABLES)
        collection.upsert(stored_points(channels, config))
        collection.tidy()
        yield collection
