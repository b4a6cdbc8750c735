"""Measure what valuing, selecting and finding duplicates among stored rows takes, on made-up rows.

python tools/bench_value.py --rows 3000                  # published width, 24,576 coordinates
python tools/bench_value.py --rows 20000 --estimator small
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rise_store.records import ChannelNorms, EstimatorConfig, ModelReference, Space
from rise_store.retrieval import Scoring
from rise_store.retrieval.duplicates import find_duplicates
from rise_store.retrieval.select import Chooser, Limits
from rise_store.retrieval.value import Targets
from rise_store.store import Backend, Collection, Point, build_payload, open_store, point_id, tables_sha256

WIDTHS = {"published": EstimatorConfig(), "small": EstimatorConfig(kr=16, kh=8, kg=28)}


def points(count: int, config: EstimatorConfig) -> Iterator[Point]:
    """Rows of unit length, half of whose energy lies in 40 common directions, as real ones have it.

    3 in 100 are near-copies of the row before.
    """
    draw = np.random.default_rng(0)
    common = draw.standard_normal((40, config.dim)).astype(np.float32)
    vector = common[0]
    for number in range(count):
        noise = draw.standard_normal(config.dim, dtype=np.float32)
        own = draw.standard_normal(40, dtype=np.float32) @ common / np.float32(40**0.5)
        vector = vector + 0.1 * noise if number % 33 == 32 else own + noise
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        rh = float(np.linalg.norm(unit[: config.dim_rh]))
        payload = build_payload(
            example_id=f"row-{number}",
            dataset="random",
            content_sha256=f"{number:064x}",
            run_id="run",
            ingested_at="2026-01-01T00:00:00Z",
            tokens=100,
            chunks=1,
            channel_norms=ChannelNorms(rh=rh, gh=max(0.0, 1 - rh**2) ** 0.5),
            license=("MIT", "CC0-1.0")[number % 2],
        )
        yield Point(point_id("bench", "random", str(number)), unit, payload)


def filled(folder: Path, count: int, config: EstimatorConfig) -> tuple[Collection, Backend]:
    tables = {"hidden_bucket": np.zeros(4, dtype=np.int64)}
    space = Space(
        fingerprint="bench",
        model=ModelReference(name="none"),
        architecture="None",
        hidden_size=4,
        vocabulary_size=4,
        estimator=config,
        tables_sha256=tables_sha256(tables),
        created_at="2026-01-01T00:00:00Z",
        created_with="0",
    )
    backend = open_store(folder, create=True)
    collection = backend.create_space(space, tables)
    batch: list[Point] = []
    for point in points(count, config):
        batch.append(point)
        if len(batch) == 64:
            collection.upsert(batch)
            batch = []
    if batch:
        collection.upsert(batch)
    collection.tidy()
    return collection, backend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000)
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--estimator", choices=WIDTHS, default="published")
    args = parser.parse_args()
    config = WIDTHS[args.estimator]
    with tempfile.TemporaryDirectory(prefix="rise-store-bench-") as folder:
        collection, backend = filled(Path(folder) / "store", args.rows, config)
        scoring = Scoring(config)
        folded = np.random.default_rng(1).standard_normal((args.targets, config.dim)).astype(np.float32)
        print(f"{args.rows:,} rows of {config.dim:,} coordinates, {args.targets} targets")
        fields = ("example_id", "dataset", "license", "tokens")
        for by in ("mean", "max"):
            began = time.perf_counter()
            rows = sum(len(block.values) for block in Targets(folded, scoring, by).stored(collection, None, fields))
            print(f"value by {by}: {rows / (time.perf_counter() - began):,.0f} rows/s")
        for strategy in ("mean", "rrf", "mmr", "facility-location"):
            began = time.perf_counter()
            chooser = Chooser(strategy, Limits.plan(100, None))
            chosen = chooser(Targets(folded, scoring, chooser.by).stored(collection, None, fields), args.targets)
            seconds = time.perf_counter() - began
            print(f"select 100 by {strategy}: {args.rows / seconds:,.0f} rows/s, {chosen.most_held} rows held at most")
        began = time.perf_counter()
        clusters = find_duplicates(collection)
        print(f"duplicates: {len(clusters)} clusters in {time.perf_counter() - began:.1f} s")
        backend.close()


if __name__ == "__main__":
    main()
