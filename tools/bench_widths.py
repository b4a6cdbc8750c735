"""How close the sketched score comes to the exact product of LM-head gradients as its widths grow.

    python tools/bench_widths.py                              # the package's own backdoor, SmolLM2-135M
    python tools/bench_widths.py --data DIR --rows 300 --queries 30 --json widths.json --plots DIR
    python tools/bench_widths.py --lambda-gh 0                # channel RH alone: the LM-head gradient

The backbone runs once over rows and queries; the exact scores and the signatures of every width come from its hidden
states. Correlations are over the rows of a query, averaged over queries; overlap is the share of the exact top K that
the sketched top K has.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from method_tasks import FORMS, load_task

from rise_store.corpus import fetch_smollm2
from rise_store.errors import RiseStoreError
from rise_store.records import EstimatorConfig

WEIGHTINGS = get_args(EstimatorConfig.model_fields["position_weighting"].annotation)
WIDTHS = ["8/4/4", "16/8/28", "32/16/16", "64/32/32", "128/64/64", "128/128/64", "256/256/128", "512/512/256"]


def table(report: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    top = list(report["results"][0]["agreement"]["overlap"])
    heads = ["kr/kh/kg", "dim", "bytes a row, float16", "Pearson", "Spearman", *(f"overlap of top {k}" for k in top)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in report["results"]:
        found = row["agreement"]
        cells = [f"{row['kr']}/{row['kh']}/{row['kg']}", f"{row['dim']:,}", f"{2 * row['dim']:,}"]
        cells += [f"{value:.3f}" for value in (found["pearson"], found["spearman"], *found["overlap"].values())]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(report: dict[str, Any], folder: Path) -> Path:
    """Agreement against dimensions, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    dims = [row["dim"] for row in report["results"]]
    found = [row["agreement"] for row in report["results"]]
    axes.plot(dims, [one["pearson"] for one in found], "o-", label="Pearson")
    axes.plot(dims, [one["spearman"] for one in found], "s-", label="Spearman")
    for k in found[0]["overlap"]:
        axes.plot(dims, [one["overlap"][k] for one in found], "^--", alpha=0.7, label=f"overlap of top {k}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("coordinates of a signature, kh (kr + kg)")
    axes.set_ylabel("agreement with the exact product, mean of queries")
    axes.set_title(f"{report['task']}: {report['rows']} rows, {report['queries']} queries, {report['model']}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "sketch_widths.png", dpi=150)
    return folder / "sketch_widths.png"


def widths(text: str) -> tuple[int, int, int]:
    """KR/KH/KG, as 16/8/28."""
    parts = text.split("/")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: three numbers above 0 are needed, as in 16/8/28")
    kr, kh, kg = map(int, parts)
    return kr, kh, kg


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="howdy", help="name of the task in tables (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder of train.jsonl and queries.jsonl (default: a synthetic task)")
    parser.add_argument("--rows", type=int, default=300, help="training rows (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=30, help="queries (default: %(default)s)")
    parser.add_argument("--query-form", choices=FORMS, default="completion",
                        help="what of a query counts: its output, or all of it (default: %(default)s)")  # fmt: skip
    parser.add_argument("--model", help="hub name, folder or GGUF file (default: SmolLM2-135M)")
    parser.add_argument("--tau", type=float, default=0.1, help="temperature (default: %(default)s)")
    parser.add_argument("--lambda-gh", type=float, default=0.3, help="weight of channel GH (default: %(default)s)")
    parser.add_argument("--weighting", default="uniform", choices=WEIGHTINGS, help="of positions")
    parser.add_argument("--widths", type=widths, nargs="+", default=list(map(widths, WIDTHS)), metavar="KR/KH/KG",
                        help="(default: eight, to 512)")  # fmt: skip
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="also draw sketch_widths.png")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    try:
        return run(args)
    except RiseStoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def run(args: argparse.Namespace) -> int:
    """Measure and report; the exit code."""
    from rise_store.evaluation.baselines.convergence import sketched_agreement
    from rise_store.evaluation.baselines.model import LanguageModel
    from rise_store.signature import load_model

    task = load_task(args.task, args.data, args.rows, args.queries, args.query_form)
    model_name = args.model or str(fetch_smollm2())
    settings = {"tau": args.tau, "lambda_gh": args.lambda_gh, "position_weighting": args.weighting}
    configs = [EstimatorConfig(kr=kr, kh=kh, kg=kg, **settings) for kr, kh, kg in args.widths]
    started = time.perf_counter()
    found = sketched_agreement(LanguageModel(load_model(model_name, device="cpu")), task.rows, task.queries, configs)
    report: dict[str, Any] = {
        "command": " ".join(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.perf_counter() - started, 1),
        "task": task.name,
        "query_form": args.query_form,
        "rows": len(task.rows),
        "queries": len(task.queries),
        "model": Path(model_name).name,
        "settings": settings,
        "results": [asdict(one) for one in found],
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(table(report))
    if args.plots:
        print(f"wrote {plot(report, args.plots)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
