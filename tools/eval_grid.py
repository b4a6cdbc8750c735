"""Quality under every weighting of positions, every pair of lambdas and every preconditioning, with intervals.

    python tools/eval_grid.py --cache DIR --tasks reference backdoor          # of the demo, nothing else needed
    python tools/eval_grid.py --cache DIR --data DATA --json grid.json --markdown grid.md --plots docs/images

DATA holds howdy/ and finmed/, each with train.jsonl and queries.jsonl (`instruction`, `input`, `output`, `label`); a
row is right for a query of its label. One pass of the model keeps what each position gives (1 KB each) in the cache;
another run reads it from there, and takes seconds a weighting.

Measured for each query, then averaged: average precision over all rows (AP), and by the paper's protocol auPRC on the
K highest and the K lowest rows, and precision on the K highest. Intervals: 95 %, bootstrap over queries.
Preconditioning is estimated from 512 random rows. `held_out` chooses lambdas and alpha on one half of a task's rows and
queries by AP and reports the other half; `other_tasks` chooses every setting on all tasks but one, and on all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from grid_positions import SHARP, PositionPass, Positions
from grid_report import draw, markdown
from grid_scores import ALPHAS, SCORINGS, Products
from grid_tasks import QUERY_FORMS, TASKS, Task, read_task
from grid_weightings import WEIGHTINGS, signatures, token_rarity

from rise_store.corpus import fetch_smollm2
from rise_store.errors import RiseStoreError

Array = npt.NDArray[Any]
KS = (5, 10, 50)
METRICS = ("AP", *(f"auPRC@{k}" for k in KS), *(f"P@{k}" for k in KS))
RESAMPLES = 2_000
PARTS = ("all", "even", "odd")  # of rows and of queries


@dataclass(frozen=True, order=True)
class Setting:
    """One place of the grid."""

    weighting: str
    lambdas: str
    alpha: float  # 0: no preconditioning


Grid = dict[Setting, Array]  # (metrics, queries)


def query_metrics(scores: Array, relevant: Array) -> Array:
    """Metrics of each query, (METRICS, m), from scores and what is right, (m, n) both; as `evaluate` gives them."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked, scores = (np.take_along_axis(array, order, axis=1) for array in (relevant, scores))  # (m, n)
    n = ranked.shape[1]
    values = [average_precision(ranked, scores)]
    for k in KS:
        kept = np.arange(n) if 2 * k >= n else np.r_[:k, n - k : n]  # each row once
        values.append(average_precision(ranked[:, kept], scores[:, kept]))
    values += [ranked[:, :k].mean(axis=1) for k in KS]
    return np.stack(values)


def average_precision(ranked: Array, scores: Array) -> Array:
    """Mean of the precision at each right row, (m, n) both, highest score first -> (m,); 0 where no row is right.

    Equal scores are one step: the precision at each of their rows is that at the last of them.
    """
    places = np.arange(ranked.shape[1])
    last = np.concatenate([scores[:, 1:] != scores[:, :-1], np.ones((len(scores), 1), bool)], axis=1)
    ends = np.minimum.accumulate(np.where(last, places, places[-1])[:, ::-1], axis=1)[:, ::-1]  # of each row's step
    precision = np.take_along_axis(np.cumsum(ranked, axis=1), ends, axis=1) / (ends + 1)
    found: Array = (precision * ranked).sum(axis=1) / np.maximum(ranked.sum(axis=1), 1)
    return found


def task_grid(
    task: Task, rows: Positions, queries: Positions, weightings: Sequence[str], sample: int, seed: int
) -> dict[str, Grid]:
    """Metrics of each query under every setting, for each part of the task."""
    grids: dict[str, Grid] = {part: {} for part in PARTS}
    rarity = token_rarity(rows)
    for name in weightings:
        began = time.monotonic()
        x, q = (signatures(p, WEIGHTINGS[name], rarity, SHARP) for p in (rows, queries))
        for part in PARTS:
            for setting, values in part_grid(task, x, q, part, sample, seed):
                grids[part][Setting(name, *setting)] = values
        print(f"{task.name}: {name}, {time.monotonic() - began:.1f} s", file=sys.stderr)
    return grids


def part_grid(
    task: Task, x: Array, q: Array, part: str, sample: int, seed: int
) -> Iterator[tuple[tuple[str, float], Array]]:
    kept, asked = (np.arange(n)[PART_OF[part]] for n in (len(x), len(q)))
    drawn = np.random.default_rng(seed).permutation(len(kept))[:sample]
    products = Products.of(q[asked], x[kept], drawn, SHARP)
    relevant = task.relevant[np.ix_(asked, kept)]
    for scoring in SCORINGS:
        for alpha, scores in zip(ALPHAS, products.scores(scoring), strict=True):
            yield (scoring, alpha or 0.0), query_metrics(scores, relevant)


PART_OF = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}


def interval(values: Array) -> tuple[float, float, float]:
    """Mean with a 95 % bootstrap interval over queries: (m,) -> mean, low, high."""
    low, high = np.percentile(values @ _resamples(len(values)), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def _resamples(m: int) -> Array:
    """How often each of m queries counts in each resample, over m: (m, RESAMPLES)."""
    if m not in _drawn:
        picks = np.random.default_rng(0).integers(0, m, (RESAMPLES, m))
        _drawn[m] = np.stack([np.bincount(row, minlength=m) for row in picks], axis=1) / m
    return _drawn[m]


_drawn: dict[int, Array] = {}


def mean_ap(grids: Sequence[Grid]) -> dict[Setting, float]:
    """AP of each setting, averaged over tasks."""
    return {setting: float(np.mean([grid[setting][0].mean() for grid in grids])) for setting in grids[0]}


def held_out(grids: dict[str, dict[str, Grid]]) -> list[dict[str, Any]]:
    """For each task and weighting: the lambdas and alpha that one half chooses, measured on the other half.

    The queries of both halves together give an AP, and its difference from that of `residual`, chosen alike.
    """
    weightings = list(dict.fromkeys(setting.weighting for setting in next(iter(grids.values()))["all"]))
    base = "residual" if "residual" in weightings else weightings[0]
    rows = []
    for task, grid in grids.items():
        chosen = {name: {part: _best(grid[part], name) for part in ("even", "odd")} for name in weightings}
        reached = {
            name: np.concatenate([grid["odd"][own["even"]][0], grid["even"][own["odd"]][0]])
            for name, own in chosen.items()
        }
        rows += [
            {
                "task": task,
                "weighting": name,
                "chosen": {part: vars(setting) for part, setting in chosen[name].items()},
                "AP": interval(reached[name]),
                "less residual": interval(reached[name] - reached[base]),
                "less residual at 1/0.3, none": _at(grid["all"], name, base, "1/0.3"),
                "less residual at 0.7/1, none": _at(grid["all"], name, base, "0.7/1"),
            }
            for name in weightings
        ]
    return rows


def _best(grid: Grid, weighting: str) -> Setting:
    return max((s for s in grid if s.weighting == weighting), key=lambda s: float(grid[s][0].mean()))


def _at(grid: Grid, weighting: str, base: str, lambdas: str) -> tuple[float, float, float]:
    """Difference of AP of two weightings under the same lambdas without preconditioning."""
    return interval(grid[Setting(weighting, lambdas, 0.0)][0] - grid[Setting(base, lambdas, 0.0)][0])


def other_tasks(grids: dict[str, dict[str, Grid]]) -> list[dict[str, Any]]:
    """For each task: the setting that is best on all others, and what it gives here; then the best on all."""
    rows = []
    for task in grids if len(grids) > 1 else ():
        means = mean_ap([grid["all"] for name, grid in grids.items() if name != task])
        best = max(means, key=lambda setting: means[setting])
        rows.append({"task": task, "chosen": vars(best), "AP": interval(grids[task]["all"][best][0])})
    means = mean_ap([grid["all"] for grid in grids.values()])
    best = max(means, key=lambda setting: means[setting])
    return rows + [
        {"task": task, "chosen on all": vars(best), "AP": interval(grid["all"][best][0])}
        for task, grid in grids.items()
    ]


def results(grids: dict[str, dict[str, Grid]]) -> list[dict[str, Any]]:
    """One record for each task and setting, over all its rows and queries."""
    return [
        {"task": task, **vars(setting)} | {name: interval(row) for name, row in zip(METRICS, values, strict=True)}
        for task, parts in grids.items()
        for setting, values in parts["all"].items()
    ]


def run(args: argparse.Namespace) -> dict[str, Any]:
    model = args.model or fetch_smollm2()
    identity = None if args.model else Path(model).name  # the default's file is always the same
    passes = PositionPass(model, args.dtype, args.device, args.cache, smooth=args.smooth, identity=identity)
    grids, sizes = {}, {}
    for name in args.tasks:
        task = read_task(name, args.data, args.rows, args.queries, args.form)
        rows = passes.of_texts(name, task.rows)
        queries = passes.of_queries(f"{name}-{args.form}", task.queries)
        sizes[name] = {
            "rows": len(task.rows),
            "queries": len(task.queries),
            "positions": len(rows.targets),
            "share_relevant": round(float(task.relevant.mean()), 4),
        }
        grids[name] = task_grid(task, rows, queries, args.weightings, args.sample, args.seed)
    return {
        "command": " ".join(["python", *sys.argv]),
        "model": Path(model).name,
        "dtype": args.dtype,
        "query_form": args.form,
        "sample": args.sample,
        "seed": args.seed,
        "tasks": sizes,
        "weightings": {name: WEIGHTINGS[name].meaning for name in args.weightings},
        "results": results(grids),
        "held_out": held_out(grids),
        "other_tasks": other_tasks(grids),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for what the model gave")
    parser.add_argument("--data", type=Path, help="folder with howdy/ and finmed/")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="default: all four")
    parser.add_argument("--weightings", nargs="+", choices=WEIGHTINGS, default=list(WEIGHTINGS), help="default: all")
    parser.add_argument("--rows", type=int, default=2500, help="most rows of howdy and finmed (default: 2500)")
    parser.add_argument("--queries", type=int, default=100, help="most queries of howdy and finmed (default: 100)")
    parser.add_argument("--form", choices=QUERY_FORMS, default="text", help="what of a query counts (default: text)")
    parser.add_argument("--sample", type=int, default=512, help="rows for preconditioning (default: 512)")
    parser.add_argument("--seed", type=int, default=0, help="of that sample (default: 0)")
    parser.add_argument(
        "--smooth", action="store_true", help="also the weightings at tau 1, which take a pass of their own"
    )
    parser.add_argument("--model", help="hub name, folder or GGUF file (default: SmolLM2-135M)")
    parser.add_argument("--dtype", default="bfloat16", help="default: bfloat16")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file; standard output otherwise")
    parser.add_argument("--plots", type=Path, help="folder for grid.png and weightings.png; needs matplotlib")
    args = parser.parse_args()
    args.weightings = [name for name in args.weightings if args.smooth or not WEIGHTINGS[name].smooth]
    try:
        report = run(args)
    except RiseStoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if args.plots:
        draw(report, args.plots)
    if args.markdown:
        args.markdown.write_text(markdown(report))
    else:
        print(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
