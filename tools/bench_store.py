"""Size, speed and accuracy of the embedded store in every storage profile, beside the plain ways of scanning.

    python tools/bench_store.py                                  # real texts, and 20,000 and 100,000 synthetic rows
    python tools/bench_store.py --data synthetic --rows 20000 --json store.json
    python tools/bench_store.py --settings float16 turbo8 small

Real rows are SmolLM2-135M signatures (bfloat16, kept in the cache folder) of more than 5,000 texts that come with
Python; synthetic rows are sums of outer products of 400 topics with near-duplicates. Each setting is built and then
queried in processes of their own. Times are medians over single queries and over batches of 64, warm. Truth is the
exact ranking of the float16 signatures: recall@10 is the share of its first 10 that are found; precision@10 counts a
result as right when its true score reaches the 10th best, to 1e-4, so that near-duplicates may change places.
In the same run and process layout: a block scan of a float16 memmap through float32, and the same scan of a
65,536-coordinate float16 gradient index (131,072 bytes a row), on at most 20,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from store_workload import SMALL, real_signatures, real_texts, synthetic_signatures

from rise_store.records import ChannelNorms, EstimatorConfig, ModelReference, Space, Storage
from rise_store.signature.sketch import SketchTables
from rise_store.store import Approximation, Collection, Point, SearchRequest, build_payload, open_store, point_id

Array = npt.NDArray[Any]
Answer = Callable[[Array], list[list[int]]]  # queries [n, dim] -> row numbers of the 10 best of each

K = 10
BATCH = 64
SINGLES = 40
FEWEST_SINGLES = 5  # after so many single queries, stop at MOST_SECONDS
MOST_SECONDS = 15
GRADIENT_DIM = 65_536
GRADIENT_ROWS = 20_000
SCAN_ROWS = 2_048
SETTINGS: dict[str, Storage] = {
    "float16": Storage(),
    "float16+4bit": Storage(quantization=4),
    "float16+2bit": Storage(quantization=2),
    "float16+1bit": Storage(quantization=1),
    "float16+hnsw": Storage(hnsw=True),
    "turbo8": Storage(vectors="turbo8"),
    "turbo8+1bit": Storage(vectors="turbo8", quantization=1),
    "turbo4": Storage(vectors="turbo4"),
    "small": Storage(),
}
LARGE = ("float16", "float16+1bit", "turbo8", "turbo4", "small")  # of these alone 100,000 rows are stored
SCANS = ("memmap scan", "gradient scan")


def config_of(setting: str) -> EstimatorConfig:
    return SMALL if setting == "small" else EstimatorConfig()


def make_space(setting: str) -> tuple[Space, dict[str, Array]]:
    config = config_of(setting)
    tables = SketchTables.draw(576, 49_152, config)
    space = Space(
        fingerprint=f"bench{config.dim}",
        model=ModelReference(name="SmolLM2-135M-Instruct"),
        architecture="LlamaForCausalLM",
        hidden_size=576,
        vocabulary_size=49_152,
        estimator=config,
        tables_sha256=tables.sha256,
        created_at="2026-01-01T00:00:00Z",
        created_with="bench",
        storage=SETTINGS[setting],
    )
    return space, tables.arrays()


def points(rows: Array, space: Space) -> Iterator[Point]:
    split = space.estimator.dim_rh
    for number, row in enumerate(rows):
        vector = row.astype(np.float32)
        norms = ChannelNorms(rh=float(np.linalg.norm(vector[:split])), gh=float(np.linalg.norm(vector[split:])))
        payload = build_payload(
            example_id=str(number), dataset="bench", content_sha256=f"{number:064x}", run_id="bench",
            ingested_at="2026-01-01T00:00:00Z", tokens=100, chunks=1, channel_norms=norms,
        )  # fmt: skip
        yield Point(point_id(space.fingerprint, "bench", str(number)), vector, payload)


def build(setting: str, rows: Array, folder: Path) -> dict[str, Any]:
    """Store the rows; rows/s up to the acknowledgement of the last one, seconds to tidy, bytes on disk."""
    space, tables = make_space(setting)
    with open_store(folder, create=True) as store:
        collection = store.create_space(space, tables)
        empty = collection.size_bytes() or 0
        seconds = 0.0
        batch: list[Point] = []
        for number, point in enumerate(points(rows, space), 1):
            batch.append(point)
            if len(batch) == BATCH or number == len(rows):
                before = time.perf_counter()  # making the points is not the store's work
                collection.upsert(batch)
                seconds += time.perf_counter() - before
                batch = []
        before = time.perf_counter()
        collection.tidy()
        tidied = time.perf_counter() - before
        size = collection.size_bytes() or 0
    return {
        "upserts_per_second": round(len(rows) / seconds, 1),
        "upserts_per_second_with_tidy": round(len(rows) / (seconds + tidied), 1),
        "tidy_seconds": round(tidied, 2),
        "vector_bytes_per_row": space.storage.bytes_per_vector(space.dim),
        "disk_bytes_per_row": round((size - empty) / len(rows)),
        "empty_disk_bytes": empty,
    }


def store_answers(collection: Collection, approximation: Approximation | None) -> Answer:
    def answer(queries: Array) -> list[list[int]]:
        requests = [SearchRequest(query, K, fields=("example_id",)) for query in queries]
        found = collection.search(requests, approximation)
        return [[int(hit.payload["example_id"]) for hit in hits] for hits in found]

    return answer


def scan_answers(rows: Array) -> Answer:
    """The plain way: blocks of a float16 memmap, through float32, and the best of all scores."""

    def answer(queries: Array) -> list[list[int]]:
        scores = np.empty((len(queries), len(rows)), np.float32)
        for start in range(0, len(rows), SCAN_ROWS):
            block = np.asarray(rows[start : start + SCAN_ROWS], np.float32)
            scores[:, start : start + len(block)] = queries @ block.T
        return best_rows(scores)

    return answer


def best_rows(scores: Array) -> list[list[int]]:
    some = np.argpartition(-scores, K, axis=1)[:, :K]
    order = np.take_along_axis(scores, some, 1).argsort(axis=1)[:, ::-1]
    return np.take_along_axis(some, order, 1).tolist()  # type: ignore[no-any-return]


def measure(answer: Answer, queries: Array) -> dict[str, Any]:
    """Milliseconds a query alone and in a batch of 64, and the answers."""
    answer(queries[:2])
    answer(queries[:BATCH])
    alone = []
    for query in queries[:SINGLES]:
        before = time.perf_counter()
        answer(query[None])
        alone.append(time.perf_counter() - before)
        if len(alone) >= FEWEST_SINGLES and sum(alone) > MOST_SECONDS:
            break
    together = []
    for _ in range(3):
        before = time.perf_counter()
        answers = answer(queries[:BATCH])
        together.append(time.perf_counter() - before)
    return {
        "ms_alone": round(1e3 * statistics.median(alone), 2),
        "ms_in_batch": round(1e3 * statistics.median(together) / BATCH, 2),
        "answers": answers,
    }


def approximations(storage: Storage) -> Iterator[tuple[str, Approximation | None]]:
    yield "exact", None
    if storage.quantization:
        for oversampling in (1.0, 4.0):
            yield f"quantized x{oversampling:g}", Approximation("quantized", oversampling=oversampling)
    if storage.hnsw:
        for ef in (64, 256):
            yield f"hnsw ef {ef}", Approximation("hnsw", ef=ef)


def ask(setting: str, folder: Path, queries: Array) -> list[dict[str, Any]]:
    results = []
    before = time.perf_counter()
    with open_store(folder) as store:
        collection = store.open_collection(make_space(setting)[0].fingerprint)
        opened = time.perf_counter() - before
        for name, approximation in approximations(SETTINGS[setting]):
            row = {"search": name, **measure(store_answers(collection, approximation), queries)}
            results.append(row | {"open_seconds": round(opened, 3), **memory()})
    return results


def memory() -> dict[str, int]:
    """Resident bytes of this process: its own, and of files that are mapped and can be dropped."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {name: int(lines[field].split()[0]) * 1024 for name, field in
            (("memory_own_bytes", "RssAnon"), ("memory_mapped_bytes", "RssFile"))}  # fmt: skip


def child(args: argparse.Namespace) -> None:
    """One stage, in a process of its own; prints JSON."""
    if args.stage == "build":
        print(json.dumps(build(args.setting, np.load(args.data_file, mmap_mode="r"), Path(args.folder))))
        return
    queries = np.load(args.query_file).astype(np.float32)
    if args.setting in SCANS:
        rows = np.load(args.data_file, mmap_mode="r")
        print(json.dumps([{"search": "scan", **measure(scan_answers(rows), queries), **memory()}]))
    else:
        print(json.dumps(ask(args.setting, Path(args.folder), queries)))


def run_stage(stage: str, setting: str, folder: Path, data: Path, queries: Path) -> Any:
    options = ["--stage", stage, "--setting", setting, "--folder", str(folder)]
    options += ["--data-file", str(data), "--query-file", str(queries)]
    done = subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def true_scores(rows: Array, queries: Array) -> Array:
    scores = np.empty((len(queries), len(rows)), np.float32)
    for start in range(0, len(rows), SCAN_ROWS):
        block = np.asarray(rows[start : start + SCAN_ROWS], np.float32)
        scores[:, start : start + len(block)] = queries.astype(np.float32) @ block.T
    return scores


def judge(answers: list[list[int]], scores: Array) -> dict[str, float]:
    recall, precision = [], []
    for found, row in zip(answers, scores, strict=True):
        best = np.sort(row)[-K:]
        recall.append(len(set(found) & set(np.argsort(-row, kind="stable")[:K].tolist())) / K)
        precision.append(float((row[found] >= best[0] - 1e-4).mean()))
    return {"recall_at_10": round(float(np.mean(recall)), 4), "precision_at_10": round(float(np.mean(precision)), 4)}


def bench(name: str, files: dict[int, tuple[Path, Path]], settings: list[str], scratch: Path) -> list[dict[str, Any]]:
    """All settings on one data set; `files` has rows and queries by dimension."""
    data, query_file = files[EstimatorConfig().dim]
    rows = np.load(data, mmap_mode="r")
    scores = true_scores(rows, np.load(query_file)[:BATCH])
    results: list[dict[str, Any]] = []

    def add(setting: str, found: list[dict[str, Any]], built: dict[str, Any]) -> None:
        for row in found:
            answers = row.pop("answers")
            quality = judge(answers, scores) if setting != "gradient scan" else {}
            results.append({"data": name, "rows": len(rows), "setting": setting, **built, **row, **quality})
            print(f"{name}: {setting}, {row['search']}", file=sys.stderr)

    add("memmap scan", run_stage("ask", "memmap scan", scratch, data, query_file), scan_size(EstimatorConfig().dim))
    if len(rows) <= GRADIENT_ROWS:
        gradients, gradient_queries = scratch / "gradients.npy", scratch / "gradient-queries.npy"
        write_gradients(gradients, gradient_queries, len(rows))
        found = run_stage("ask", "gradient scan", scratch, gradients, gradient_queries)
        add("gradient scan", found, scan_size(GRADIENT_DIM))
        gradients.unlink()
    for setting in settings:
        own_data, own_queries = files[config_of(setting).dim]
        folder = scratch / "store"
        built = run_stage("build", setting, folder, own_data, own_queries)
        add(setting, run_stage("ask", setting, folder, own_data, own_queries), built)
        shutil.rmtree(folder)
    return results


def scan_size(dim: int) -> dict[str, int]:
    return {"vector_bytes_per_row": 2 * dim, "disk_bytes_per_row": 2 * dim}


def write_gradients(path: Path, queries: Path, rows: int) -> None:
    draw = np.random.default_rng(5)
    out = np.lib.format.open_memmap(path, "w+", np.float16, (rows, GRADIENT_DIM))
    for start in range(0, rows, 500):
        n = min(500, rows - start)
        out[start : start + n] = draw.standard_normal((n, GRADIENT_DIM), np.float32) / 256
    out.flush()
    np.save(queries, draw.standard_normal((BATCH, GRADIENT_DIM), np.float32) / 256)


def real_files(scratch: Path, cache: Path, dtype: str) -> dict[int, tuple[Path, Path]]:
    """The last 64 texts (in a random order) are queries, the others rows."""
    texts = [str(text) for text in np.random.default_rng(7).permutation(np.array(real_texts(), dtype=object))]
    files = {}
    for config in (EstimatorConfig(), SMALL):
        signatures = real_signatures(cache, config, texts, dtype)
        data, queries = scratch / f"real-{config.dim}.npy", scratch / f"real-queries-{config.dim}.npy"
        np.save(data, signatures[:-BATCH])
        np.save(queries, signatures[-BATCH:])
        files[config.dim] = (data, queries)
    return files


def synthetic_files(scratch: Path, rows: int) -> dict[int, tuple[Path, Path]]:
    wide, small = EstimatorConfig().dim, SMALL.dim
    files = {d: (scratch / f"rows-{d}.npy", scratch / f"queries-{d}.npy") for d in (wide, small)}
    for which, (n, seed) in enumerate(((rows, 1), (BATCH, 2))):
        synthetic_signatures(files[wide][which], n, seed, files[small][which])
    return files


def print_table(report: dict[str, Any]) -> None:
    console = Console(width=170)
    info = report["machine"]
    console.print(f"{info['cpu']}, {info['cores']} cores, {info['date']}")
    for data in dict.fromkeys((row["data"], row["rows"]) for row in report["results"]):
        table = Table(title=f"{data[0]}, {data[1]:,} rows", box=None, header_style="bold", title_justify="left")
        for column in ("setting", "search", "vector B/row", "disk B/row", "own MiB", "mapped MiB", "ms alone",
                       "ms batch", "recall@10", "precision@10", "upserts/s", "with tidy"):  # fmt: skip
            table.add_column(column, justify="left" if column in ("setting", "search") else "right")
        for row in report["results"]:
            if (row["data"], row["rows"]) != data:
                continue
            table.add_row(
                row["setting"], row["search"], f"{row['vector_bytes_per_row']:,}", f"{row['disk_bytes_per_row']:,}",
                f"{row['memory_own_bytes'] / 2**20:,.0f}", f"{row['memory_mapped_bytes'] / 2**20:,.0f}",
                f"{row['ms_alone']:.1f}", f"{row['ms_in_batch']:.1f}",
                *(f"{row[name]:.3f}" if name in row else "" for name in ("recall_at_10", "precision_at_10")),
                *(f"{row[name]:,.0f}" if name in row else ""
                  for name in ("upserts_per_second", "upserts_per_second_with_tidy")),
            )  # fmt: skip
        console.print(table)


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=("real", "synthetic"), default=["real", "synthetic"])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000], help="of the synthetic data")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--dtype", default="bfloat16", help="precision of the model for the real signatures")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "rise_store")
    parser.add_argument("--scratch", type=Path, help="where stores are built; about 15 GB for 100,000 rows")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--stage", choices=("build", "ask"), help=argparse.SUPPRESS)
    for name in ("--setting", "--folder", "--data-file", "--query-file"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        child(args)
        return
    report: dict[str, Any] = {"machine": machine(), "command": " ".join(sys.argv), "results": []}
    args.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        scratch = Path(folder)
        if "real" in args.data:
            files = real_files(scratch, args.cache, args.dtype)
            report["results"] += bench("real", files, args.settings, scratch)
        for rows in args.rows if "synthetic" in args.data else ():
            settings = [s for s in args.settings if rows <= GRADIENT_ROWS or s in LARGE]
            report["results"] += bench("synthetic", synthetic_files(scratch, rows), settings, scratch)
            if args.json:
                args.json.write_text(json.dumps(report, indent=2) + "\n")
    print_table(report)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
