"""Memory that each method needs to index, as the model grows; and bytes a row of each index.

    python tools/bench_memory.py                                    # four random Llamas, float32, CPU
    python tools/bench_memory.py --widths 128 256 --json memory.json --markdown memory.md --plots DIR

Each method indexes a few rows of 256 tokens with random models of growing width, in a process of its own; measured is
the peak of resident memory over that of the loaded model. A line through the sizes gives bytes a parameter, which are
held against what the shapes say (`memory_model.py`); the same arithmetic gives the need of 1B to 32B models.
Peak memory needs Linux.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from memory_model import GIB, HOST, MEMORY_METHODS, OLMO, Shape, needed_bytes, storage_table
from method_memory import forget_peak, peak_bytes, require_linux, resident_bytes

from rise_store.errors import ConfigError, RiseStoreError
from rise_store.evaluation.baselines import Method
from rise_store.records import Example

MIB = 2**20
VOCABULARY = 8192
DEVICES = {"24 GB": 24e9, "80 GB": 80e9, "141 GB": 141e9}
MEASURED = {
    "rise": "forward passes (RISE, loss, exact product)",
    "loss": "forward passes (RISE, loss, exact product)",
    "zo-inf": "ZO-Inf",
    "rapidin": "RapidIn",
}


def shape_of(width: int) -> Shape:
    """A model to measure: 8 layers, an MLP four times as wide."""
    return Shape(f"width {width}", width, 8, 4 * width, max(1, width // 64), max(1, width // 64), VOCABULARY)


def save_random_model(shape: Shape, folder: Path) -> None:
    """A random Llama of a shape, with a tokenizer whose words are w0, w1 ..."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        tie_word_embeddings=False,
    )
    with redirect_stderr(StringIO()):  # its progress bar
        LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(shape.vocabulary)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0").save_pretrained(folder)


def random_rows(count: int, tokens: int = 256) -> list[Example]:
    """Rows of so many random words."""
    draw = random.Random(0)
    return [Example(text=" ".join(f"w{draw.randrange(VOCABULARY)}" for _ in range(tokens))) for _ in range(count)]


def measure_index(method: str, folder: str, rows: int) -> dict[str, int]:
    """Peak memory over the loaded model's while a method indexes, in this process."""
    from rise_store.evaluation.baselines.controls import LossRanking
    from rise_store.evaluation.baselines.model import LanguageModel
    from rise_store.evaluation.baselines.rapidin import RapidIn
    from rise_store.evaluation.baselines.rise import Rise
    from rise_store.evaluation.baselines.zeroth_order import ZerothOrder
    from rise_store.signature import SignatureEncoder, load_model

    loaded = load_model(folder, device="cpu")
    for parameter in loaded.model.parameters():  # a file that is mapped would count only where it is read
        parameter.data = parameter.data.clone()
    examples = random_rows(rows)
    before = resident_bytes()
    if not forget_peak():
        raise ConfigError(
            "this system does not let a process forget its peak of memory: /proc/self/clear_refs is needed"
        )
    if method == "rise":
        with tempfile.TemporaryDirectory() as scratch:
            Rise(SignatureEncoder(loaded), Path(scratch) / "store").index(examples)
            peak = peak_bytes()
    else:
        model = LanguageModel(loaded)
        makes: dict[str, Callable[[], Method]] = {
            "loss": lambda: LossRanking(model),
            "zo-inf": lambda: ZerothOrder(model, perturbations=1),
            "rapidin": lambda: RapidIn(model),
        }
        makes[method]().index(examples)
        peak = peak_bytes()
    return {"model_bytes": before, "over_model_bytes": peak - before}


def run_measurements(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every method with every model."""
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for width in args.widths:
            shape, folder = shape_of(width), Path(scratch) / str(width)
            save_random_model(shape, folder)
            for method in args.methods:
                command = [sys.executable, __file__, "--run", method, "--model", str(folder), "--rows", str(args.rows)]
                done = subprocess.run(command, capture_output=True, check=False, text=True)
                if done.returncode:
                    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
                    raise ConfigError(f"{method}, {shape.name}: {said[-1]}")
                found = json.loads(done.stdout.splitlines()[-1])
                arithmetic = needed_bytes(MEASURED[method], shape, 4)
                results.append(
                    {
                        "method": method,
                        "width": width,
                        "parameters": shape.parameters,
                        **found,
                        "arithmetic_over_model_bytes": sum(arithmetic.values()) - arithmetic["weights"],
                    }
                )
                print(f"{method}, {shape.name}: {found['over_model_bytes'] / MIB:,.0f} MiB over", file=sys.stderr)
    return results


def fit(results: list[dict[str, Any]], method: str) -> dict[str, float]:
    """The line `over = constant + slope * parameters` through the sizes of a method."""
    own = [row for row in results if row["method"] == method]
    if len(own) < 2:
        return {}
    x, y = ([float(row[name]) for row in own] for name in ("parameters", "over_model_bytes"))
    slope, constant = np.polyfit(x, y, 1)
    expected, _ = np.polyfit(x, [float(row["arithmetic_over_model_bytes"]) for row in own], 1)
    return {
        "bytes_per_parameter": float(slope),
        "constant_bytes": float(constant),
        "arithmetic_bytes_per_parameter": float(expected),
    }


def extrapolate(itemsize: int) -> list[dict[str, Any]]:
    """What each method needs with each large model, by part, and where that fits."""
    found = []
    for shape in OLMO:
        for method in MEMORY_METHODS:
            parts = needed_bytes(method, shape, itemsize)
            total = sum(size for name, size in parts.items() if not name.startswith(HOST))
            fits = [name for name, size in DEVICES.items() if total <= size]
            found.append(
                {
                    "model": shape.name,
                    "parameters": shape.parameters,
                    "method": method,
                    "itemsize": itemsize,
                    "parts": parts,
                    "device_bytes": total,
                    "host_bytes": sum(parts.values()) - total,
                    "fits": fits,
                }
            )
    return found


def markdown(report: dict[str, Any]) -> str:
    """Tables with the arithmetic, ready for the documentation."""
    lines = ["Measured: peak over the loaded model while indexing, MiB (and what the shapes say).", ""]
    widths = sorted({row["width"] for row in report["measured"]})
    parameters = {row["width"]: row["parameters"] for row in report["measured"]}
    heads = ["method", *(f"width {w}, {parameters[w] / 1e6:,.1f}M" for w in widths), "bytes a parameter (shapes)"]
    lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for method, line in report["fits"].items():
        cells = [method]
        for width in widths:
            row = next(r for r in report["measured"] if (r["method"], r["width"]) == (method, width))
            cells.append(f"{row['over_model_bytes'] / MIB:,.0f} ({row['arithmetic_over_model_bytes'] / MIB:,.0f})")
        slopes = "bytes_per_parameter", "arithmetic_bytes_per_parameter"
        cells.append(f"{line[slopes[0]]:.2f} ({line[slopes[1]]:.2f})" if line else "")
        lines.append(f"| {' | '.join(cells)} |")
    for itemsize, name in ((2, "bfloat16"), (4, "float32")):
        lines += [
            "",
            f"From the shapes, {name}, one chunk of 256 tokens at a time, GiB (the smallest device it fits):",
            "",
        ]
        rows = [row for row in report["extrapolated"] if row["itemsize"] == itemsize]
        models = [shape.name for shape in OLMO]
        lines += [f"| method | {' | '.join(f'{s.name}, {s.parameters / 1e9:.2f}B' for s in OLMO)} |"]
        lines += [f"|{'---|' * (len(models) + 1)}"]
        for method in MEMORY_METHODS:
            cells = [next(_cell(row) for row in rows if (row["method"], row["model"]) == (method, m)) for m in models]
            lines.append(f"| {method} | {' | '.join(cells)} |")
    largest = [row for row in report["extrapolated"] if row["model"] == OLMO[-1].name and row["itemsize"] == 2]
    lines += ["", f"The arithmetic for {OLMO[-1].name} in bfloat16, GiB:", ""]
    for row in largest:
        parts = " + ".join(f"{name} {size / GIB:.2f}" for name, size in row["parts"].items())
        lines.append(f"- {row['method']}: {parts} = {(row['device_bytes'] + row['host_bytes']) / GIB:.1f}")
    lines += ["", "| index | coordinates | bytes a row | RapidIn takes times as much | GiB for a million rows |"]
    lines.append("|---|---|---|---|---|")
    for row in report["storage"]:
        times = row["times_smaller_than_rapidin"]
        lines.append(
            f"| {row['index']} | {row['coordinates']:,} | {row['bytes_per_row']:,} | "
            f"{f'{times:,.1f}' if times >= 0.1 else f'{times:.2g}'} | {row['gib_per_million_rows']:,.2f} |"
        )
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    host = f" + {row['host_bytes'] / GIB:,.1f} of host memory" if row["host_bytes"] else ""
    return f"{row['device_bytes'] / GIB:,.1f} ({row['fits'][0] if row['fits'] else 'none'}){host}"


def plot(report: dict[str, Any], folder: Path) -> Path:
    """Needed memory against parameters: measured points on small models, arithmetic for large ones."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = dict(zip(MEMORY_METHODS, ("tab:blue", "tab:green", "tab:red", "tab:orange", "tab:purple"), strict=True))
    for method in MEMORY_METHODS:
        large = [row for row in report["extrapolated"] if row["method"] == method and row["itemsize"] == 2]
        x, y = [row["parameters"] for row in large], [row["device_bytes"] / GIB for row in large]
        axes.plot(x, y, "o--", color=colours[method], label=f"{method} (arithmetic, bfloat16)")
    for (method, kind), marker in zip(MEASURED.items(), "s^vD", strict=True):
        own = [row for row in report["measured"] if row["method"] == method]
        y = [(row["over_model_bytes"] + 4 * row["parameters"]) / GIB for row in own]
        axes.plot(
            [row["parameters"] for row in own], y, marker, color=colours[kind], fillstyle="none", markersize=5,
            label=f"{method} (measured, float32)",
        )  # fmt: skip
    for name, size in DEVICES.items():
        axes.axhline(size / GIB, color="black", linewidth=0.6, alpha=0.5)
        axes.annotate(name, (1.2e7, size / GIB), fontsize=8, va="bottom")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("parameters")
    axes.set_ylabel("memory while indexing, GiB")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.savefig(folder / "memory.png", dpi=150)
    return folder / "memory.png"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 512, 1024], help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, default=8, help="rows that are indexed (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", choices=MEASURED, default=list(MEASURED), help="(default: all)")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="also draw memory.png")
    parser.add_argument("--run", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    args = parser.parse_args()
    try:
        return run(args)
    except RiseStoreError as error:
        print(error if args.run else f"error: {error}", file=sys.stderr)
        return error.exit_code


def run(args: argparse.Namespace) -> int:
    """All measurements, or the one of a child process; the exit code."""
    require_linux()
    if args.run:
        print(json.dumps(measure_index(args.run, args.model, args.rows)))
        return 0
    measured = run_measurements(args)
    report: dict[str, Any] = {
        "command": " ".join(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "measured": measured,
        "fits": {method: fit(measured, method) for method in args.methods},
        "extrapolated": [*extrapolate(2), *extrapolate(4)],
        "storage": storage_table(),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    text = markdown(report)
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    if args.plots:
        print(f"wrote {plot(report, args.plots)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
