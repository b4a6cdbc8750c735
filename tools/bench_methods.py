"""Quality, time, storage and memory of every method, on the same rows, queries and model in one run.

    python tools/bench_methods.py                                           # the package's own backdoor, SmolLM2-135M
    python tools/bench_methods.py --task howdy --data DIR --rows 300 --queries 30 --json out.json --plots DIR
    python tools/bench_methods.py --methods bm25 rise rapidin --model MODEL

DIR holds train.jsonl and queries.jsonl (instruction, input, output, label). Each method runs in a process of its own:
the model is loaded, the peak of memory forgotten, then the method indexes the rows and scores all of them for every
query. Quality is by the paper's protocol: for each query the K highest and the K lowest rows, auPRC and auROC on those
2K, precision on the top K, averaged over queries; and average precision over all rows. docs/baselines.md says what each
method is. Methods whose package is missing are listed as not installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from method_memory import forget_peak, peak_bytes, resident_bytes
from method_tasks import MethodTask, load_task

from rise_store.corpus import fetch_smollm2
from rise_store.errors import RiseStoreError
from rise_store.evaluation.baselines import Method, run_method
from rise_store.records import EstimatorConfig, Storage

SMALL = {"kr": 16, "kh": 8, "kg": 28}  # 352 coordinates


@dataclass
class Bench:
    """What methods are made of; a method without a model never loads one."""

    args: argparse.Namespace
    scratch: Path

    @cached_property
    def loaded(self) -> Any:
        from rise_store.signature import load_model

        return load_model(self.args.model, dtype=self.args.dtype, device="cpu")

    @cached_property
    def model(self) -> Any:
        from rise_store.evaluation.baselines.model import LanguageModel

        return LanguageModel(self.loaded)

    def rise(self, name: str, storage: Storage | None = None, precondition: float | None = None, **config: Any) -> Method:
        from rise_store.evaluation.baselines.rise import Rise
        from rise_store.signature import SignatureEncoder

        encoder = SignatureEncoder(self.loaded, EstimatorConfig(**config))
        return Rise(encoder, self.scratch / "store", name=name, storage=storage, precondition=precondition)


def bm25(bench: Bench) -> Method:
    from rise_store.evaluation.baselines.bm25 import BM25

    return BM25()


def length(bench: Bench) -> Method:
    from rise_store.evaluation.baselines.controls import Length

    return Length()


def loss(bench: Bench) -> Method:
    from rise_store.evaluation.baselines.controls import LossRanking

    return LossRanking(bench.model)


def exact(config: EstimatorConfig | None) -> Callable[[Bench], Method]:
    def make(bench: Bench) -> Method:
        from rise_store.evaluation.baselines.exact import ExactProduct

        return ExactProduct(bench.model, config)

    return make


def rapidin(bench: Bench) -> Method:
    from rise_store.evaluation.baselines.rapidin import RapidIn

    return RapidIn(bench.model)


def zo_inf(bench: Bench) -> Method:
    from rise_store.evaluation.baselines.zeroth_order import ZerothOrder

    return ZerothOrder(bench.model, perturbations=bench.args.perturbations)


METHODS: dict[str, Callable[[Bench], Method]] = {
    "bm25": bm25,
    "length": length,
    "loss": loss,
    "rise": lambda bench: bench.rise("rise"),
    "rise-residual": lambda bench: bench.rise("rise-residual", position_weighting="residual"),
    "rise-precondition": lambda bench: bench.rise("rise-precondition", precondition=0.01),
    "rise-turbo8": lambda bench: bench.rise("rise-turbo8", Storage(vectors="turbo8")),
    "rise-turbo4": lambda bench: bench.rise("rise-turbo4", Storage(vectors="turbo4")),
    "rise-small": lambda bench: bench.rise("rise-small", **SMALL),
    "rise-small-residual": lambda bench: bench.rise("rise-small-residual", position_weighting="residual", **SMALL),
    "exact-rise": exact(EstimatorConfig()),
    "exact-gradient": exact(None),
    "rapidin": rapidin,
    "zo-inf": zo_inf,
}
WITHOUT_MODEL = {"bm25", "length"}
PACKAGES = {"bm25": "bm25s"}


def run_child(args: argparse.Namespace, task: MethodTask) -> dict[str, Any]:
    """One method in this process; its scores go to a file."""
    bench = Bench(args, Path(args.scratch) / args.run)
    bench.scratch.mkdir()
    if args.run not in WITHOUT_MODEL:
        import torch

        torch.set_num_threads(args.threads or torch.get_num_threads())
        bench.loaded  # noqa: B018
    before = resident_bytes()
    peak_is_own = forget_peak()
    run = run_method(METHODS[args.run](bench), task.rows, task.queries)
    peak = peak_bytes()
    np.save(Path(args.scratch) / f"{args.run}.npy", run.scores)
    return {
        "index_seconds": round(run.index_seconds, 3),
        "rows_per_second": round(len(task.rows) / run.index_seconds, 3),
        "query_seconds": round(run.query_seconds, 4),
        "milliseconds_per_query": round(1000 * run.query_seconds / len(task.queries), 2),
        "bytes_per_row": round(run.bytes_per_row, 1),
        "memory_before_bytes": before,
        "peak_memory_bytes": peak,
        "peak_over_before_bytes": max(0, peak - before) if peak_is_own else None,
    }
