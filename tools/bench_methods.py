"""Quality, time, storage and memory of every method, on the same rows, queries and model in one run.

    python tools/bench_methods.py                                           # the package's own backdoor, SmolLM2-135M
    python tools/bench_methods.py --task howdy --data DIR --rows 200 --queries 20 --json out.json --plots DIR
    python tools/bench_methods.py --methods bm25 rise rapidin --model MODEL

DIR holds train.jsonl and queries.jsonl (instruction, input, output, label). Each method runs in a process of its own:
the model is loaded, the peak of memory forgotten, then the method indexes the rows and scores all of them for every
query. Quality is by the paper's protocol: for each query the K highest and the K lowest rows, auPRC and auROC on those
2K, precision on the top K, averaged over queries; and average precision over all rows. docs/baselines.md says what each
method is. Methods whose package is missing are listed as not installed. Peak memory needs Linux.
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
from method_memory import forget_peak, peak_bytes, require_linux, resident_bytes
from method_tasks import FORMS, MethodTask, load_task

from rise_store.corpus import fetch_smollm2
from rise_store.errors import RiseStoreError
from rise_store.evaluation import evaluate
from rise_store.evaluation.baselines import Method, run_method
from rise_store.evaluation.protocol import check_ks
from rise_store.records import EstimatorConfig, Storage

SMALL: dict[str, Any] = {"kr": 16, "kh": 8, "kg": 28}  # 352 coordinates


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

    def rise(
        self, name: str, storage: Storage | None = None, precondition: float | None = None, **config: Any
    ) -> Method:
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


def ekfac(bench: Bench) -> Method:
    from rise_store.evaluation.baselines.ekfac import EKFAC

    return EKFAC(bench.model, bench.scratch)


def trackstar(bench: Bench) -> Method:
    from rise_store.evaluation.baselines.trackstar import TrackStar

    return TrackStar(bench.model, bench.scratch)


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
    "ek-fac": ekfac,
    "trackstar": trackstar,
}
WITHOUT_MODEL = {"bm25", "length"}
MARKERS = "osD^v"  # of the plots, one for ten methods
PACKAGES = {"bm25": "bm25s", "ek-fac": "kronfluence", "trackstar": "bergson"}


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


def measure(args: argparse.Namespace, name: str, task: MethodTask, scratch: Path) -> dict[str, Any]:
    """One method in a process of its own, with its quality; or why there is none."""
    package = PACKAGES.get(name)
    if package is not None and find_spec(package) is None:
        return {"method": name, "state": "not installed"}
    command = [sys.executable, __file__, *sys.argv[1:], "--run", name, "--scratch", str(scratch)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"method": name, "state": f"failed: {lines[-1]}"}
    row = {"method": name, "state": "measured", **json.loads(done.stdout.splitlines()[-1])}
    row["process_seconds"] = round(time.perf_counter() - started, 2)
    scores = np.load(scratch / f"{name}.npy")
    evaluation = evaluate(scores, task.relevant, ks=args.ks, query_ids=[query.id for query in task.queries])
    row["quality"] = {
        measured.name if measured.k is None else f"{measured.name}@{measured.k}": {
            "value": measured.value,
            "low": measured.low,
            "high": measured.high,
        }
        for measured in evaluation.measures
    }
    return row


def table(report: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    measures = [*(f"auprc@{k}" for k in report["ks"]), f"auroc@{report['ks'][-1]}", f"precision@{report['ks'][0]}"]
    measures.append("average_precision")
    heads = ["method", *measures, "index s", "bytes a row", "ms a query", "peak MiB", "over the model MiB"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in report["results"]:
        if row["state"] != "measured":
            lines.append(f"| {row['method']} | {row['state']} |{' |' * (len(heads) - 2)}")
            continue
        cells = [row["method"], *(_interval(row["quality"][name]) for name in measures)]
        cells += [
            f"{row['index_seconds']:,.1f}",
            f"{row['bytes_per_row']:,.0f}",
            f"{row['milliseconds_per_query']:,.1f}",
        ]
        over = row["peak_over_before_bytes"]
        cells += [f"{row['peak_memory_bytes'] / 2**20:,.0f}", "?" if over is None else f"{over / 2**20:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(measured: dict[str, float | None]) -> str:
    if measured["value"] is None:
        return "–"
    if measured["low"] is None or measured["high"] is None:
        return f"{measured['value']:.3f}"
    return f"{measured['value']:.3f} ({measured['low']:.2f}–{measured['high']:.2f})"


def plot(report: dict[str, Any], folder: Path) -> list[Path]:
    """Quality against bytes a row, and against seconds to index, each as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    measured = [row for row in report["results"] if row["state"] == "measured"]
    name = f"auprc@{report['ks'][0]}"
    paths = []
    for field, axis, file in (
        ("bytes_per_row", "bytes a row in the index", "quality_bytes.png"),
        ("index_seconds", "seconds to index", "quality_time.png"),
    ):
        figure = Figure(figsize=(9, 5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for number, row in enumerate(measured):
            value = row["quality"][name]
            spread = None
            if value["low"] is not None:
                spread = [[value["value"] - value["low"]], [value["high"] - value["value"]]]
            axes.errorbar(
                max(row[field], 1e-3), value["value"], yerr=spread, fmt=MARKERS[number // 10], color=f"C{number % 10}",
                capsize=2, elinewidth=0.8, label=row["method"],
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_ylim(-0.02, 1.05)
        axes.set_xlabel(axis)
        axes.set_ylabel(f"{name}, mean of queries with 95 % interval")
        axes.set_title(f"{report['task']}: {report['rows']} rows, {report['queries']} queries, {report['model']}")
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
        paths.append(folder / file)
        figure.savefig(paths[-1], dpi=150)
    return paths


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="howdy", help="name of the task in tables (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder of train.jsonl and queries.jsonl (default: a synthetic task)")
    parser.add_argument("--rows", type=int, default=200, help="training rows (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=20, help="queries (default: %(default)s)")
    parser.add_argument("--query-form", choices=FORMS, default="completion",
                        help="what of a query counts: its output, or all of it (default: %(default)s)")  # fmt: skip
    parser.add_argument("--model", help="hub name, folder or GGUF file (default: SmolLM2-135M)")
    parser.add_argument("--dtype", default="float32", help="of the model (default: %(default)s)")
    parser.add_argument("--ks", type=int, nargs="+", default=[5, 10, 50], help="K of the protocol (default: 5 10 50)")
    parser.add_argument("--perturbations", type=int, default=8, help="of ZO-Inf (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD",
                        help=f"of {', '.join(METHODS)} (default: all)")  # fmt: skip
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="also draw quality_bytes.png and quality_time.png")
    parser.add_argument("--run", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    args = make_parser().parse_args()
    try:
        return run(args)
    except RiseStoreError as error:
        print(error if args.run else f"error: {error}", file=sys.stderr)
        return error.exit_code


def run(args: argparse.Namespace) -> int:
    """All methods, or the one of a child process; the exit code."""
    require_linux()
    check_ks(args.ks)
    task = load_task(args.task, args.data, args.rows, args.queries, args.query_form)
    args.model = args.model or str(fetch_smollm2())
    if args.run:
        print(json.dumps(run_child(args, task)))
        return 0
    report: dict[str, Any] = {
        "command": " ".join(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "task": task.name,
        "query_form": args.query_form,
        "rows": len(task.rows),
        "queries": len(task.queries),
        "positives_per_query": float(task.relevant.sum(axis=1).mean()),
        "model": Path(args.model).name,
        "dtype": args.dtype,
        "ks": args.ks,
        "results": [],
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.methods:
            row = measure(args, name, task, Path(scratch))
            report["results"].append(row)
            print(f"{name}: {row['state']} ({row.get('process_seconds', 0)} s)", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(table(report))
    if args.plots:
        for path in plot(report, args.plots):
            print(f"wrote {path}", file=sys.stderr)
    return 1 if any(row["state"].startswith("failed") for row in report["results"]) else 0


if __name__ == "__main__":
    sys.exit(main())
