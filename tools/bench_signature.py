"""Speed and memory of the signature engine against the plain way of computing the same thing.

    python tools/bench_signature.py                          # SmolLM2-135M from its PyPI wheel, CPU
    python tools/bench_signature.py --json bench.json
    python tools/bench_signature.py --device cuda --model MODEL

Texts are cut from the Python language reference at random lengths of 60 to 256 tokens. Each method runs in a process
of its own, on the same texts: one uncounted pass over a few of them, then `--rounds` counted passes; the median is
reported. The plain way is one padded 16,384-token batch in float32 with `torch.topk` over the vocabulary. The floor is
what the matrix products of the model's weights alone would take at the machine's rate: the rate of large square
products ("peak"), and the rates of the model's own shapes at the engine's batch size ("model shapes").
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from rise_store.corpus import fetch_smollm2, python_reference
from rise_store.records import EstimatorConfig
from rise_store.signature import SignatureEncoder, load_model, load_tokenizer
from rise_store.signature.precision import product_rate

PLAIN_TOKENS = 16_384
METHODS = ("plain-float32", "rise-float32", "rise-bfloat16")


def cut_texts(model: str, texts: int, seed: int = 0) -> list[list[int]]:
    """Token ids of so many texts of 60 to 256 tokens."""
    tokenizer = load_tokenizer(model)
    assert tokenizer is not None
    stream = [token for ids in tokenizer([e.content for e in python_reference()])["input_ids"] for token in ids]
    lengths = random.Random(seed)
    chunks: list[list[int]] = []
    start = 0
    while len(chunks) < texts:
        length = lengths.randint(60, 256)
        chunks.append([stream[(start + i) % len(stream)] for i in range(length)])
        start += length
    return chunks


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


class Stopwatch:
    """Adds up the time of wrapped functions; nested ones count in both."""

    def __init__(self, device: str) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._device = device

    def wrap(self, owner: Any, name: str, label: str) -> None:
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            synchronize(self._device)
            before = time.perf_counter()
            result = function(*args, **kwargs)
            synchronize(self._device)
            self.seconds[label] += time.perf_counter() - before
            return result

        setattr(owner, name, timed)


def watch_engine(device: str) -> Stopwatch:
    from rise_store.signature import channels
    from rise_store.signature.backbone import TransformersBackbone
    from rise_store.signature.readout import Readout

    watch = Stopwatch(device)
    watch.wrap(TransformersBackbone, "hidden_states", "backbone")
    watch.wrap(Readout, "raw_logits", "logits product")
    watch.wrap(channels, "largest_slots", "selection")
    watch.wrap(channels, "residual", "softmax and cut-off")
    for name in ("_sparse_sketches", "_dense_sketches"):
        watch.wrap(channels.Channels, name, "error sketches")
    watch.wrap(channels.Channels, "signatures", "readout in all")
    return watch


def run_method(method: str, args: argparse.Namespace) -> dict[str, Any]:
    """Time one method in this process."""
    way, dtype = method.rsplit("-", 1)
    chunks = cut_texts(args.model, args.texts)
    tokens = sum(map(len, chunks))
    loaded = load_model(args.model, dtype=dtype, device=args.device)
    config = EstimatorConfig(tau=args.tau)
    encoder = SignatureEncoder(loaded, config, batch_tokens=args.batch_tokens)
    watch: Stopwatch | None = None
    if way == "plain":
        from plain_estimator import plain_signatures

        rows = PLAIN_TOKENS // 256

        def run(some: list[list[int]]) -> np.ndarray[Any, Any]:
            parts = [
                plain_signatures(loaded.model, some[i : i + rows], config, encoder.tables).numpy()
                for i in range(0, len(some), rows)
            ]
            return np.concatenate(parts)
    else:

        def run(some: list[list[int]]) -> np.ndarray[Any, Any]:
            return encoder.encode_token_ids(some)

    run(chunks[:8])
    seconds = []
    for _ in range(args.rounds):
        before = time.perf_counter()
        signatures = run(chunks)
        seconds.append(time.perf_counter() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    result: dict[str, Any] = {
        "method": method,
        "tokens": tokens,
        "texts": len(chunks),
        "seconds": [round(s, 3) for s in seconds],
        "tokens_per_second": round(tokens / statistics.median(seconds), 1),
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if args.device.startswith("cuda") else peak,
        "batch_tokens": PLAIN_TOKENS if way == "plain" else encoder.batch_tokens,
    }
    if way != "plain":
        watch = watch_engine(args.device)
        before = time.perf_counter()
        run(chunks)
        total = time.perf_counter() - before
        share = {label: s / total for label, s in watch.seconds.items()}
        share["channel sums and the rest"] = (
            1
            - share["backbone"]
            - share["readout in all"]
            + (
                share["readout in all"]
                - sum(
                    share.get(label, 0)
                    for label in ("logits product", "selection", "softmax and cut-off", "error sketches")
                )
            )
        )
        del share["readout in all"]
        result["breakdown"] = {label: round(value, 4) for label, value in share.items()}
        result["floor"] = floor(loaded.model, dtype, args.device, encoder.batch_tokens)
    np.save(f"{args.scratch}/{method}.npy", signatures)
    return result


def floor(model: Any, dtype: str, device: str, rows: int) -> dict[str, float]:
    """Tokens/s if a token cost nothing but the products with the model's weights."""
    shapes: Counter[tuple[int, int]] = Counter()
    head = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) or module is head:
            shapes[tuple(module.weight.shape)] += 1
    flops = 2 * sum(count * a * b for (a, b), count in shapes.items())  # per token
    peak = max(product_rate(dtype, device, seconds=0.5) for _ in range(3))
    seconds = 0.0
    for (out, inner), count in shapes.items():
        block = min(rows, max(32, (1 << 28) // out))  # the head's logits come in blocks
        x = torch.randn(block, inner, device=device).to(head.weight.dtype)
        weights = [torch.randn(out, inner, device=device).to(head.weight.dtype) for _ in range(min(count, 8))]
        result = x.new_empty(block, out)
        seconds += count / block * best_time(lambda i: torch.mm(x, weights[i % len(weights)].T, out=result), device)  # noqa: B023
    return {
        "flops_per_token": flops,
        "peak_flops": peak,
        "peak_tokens_per_second": round(peak / flops, 1),
        "model_shapes_flops": flops / seconds,
        "model_shapes_tokens_per_second": round(1 / seconds, 1),
    }


def best_time(run: Callable[[int], object], device: str, seconds: float = 0.3) -> float:
    with torch.inference_mode():
        run(0)
        synchronize(device)
        times: list[float] = []
        started = time.perf_counter()
        while time.perf_counter() - started < seconds or len(times) < 3:
            before = time.perf_counter()
            run(len(times))
            synchronize(device)
            times.append(time.perf_counter() - before)
    return statistics.median(times)


def machine() -> dict[str, Any]:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    ) if Path("/proc/cpuinfo").exists() else platform.processor()  # fmt: skip
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def cosines(scratch: str, method: str) -> dict[str, float]:
    """Agreement of a method's signatures with the plain way's."""
    plain, own = (np.load(f"{scratch}/{name}.npy") for name in ("plain-float32", method))
    values = (plain * own).sum(axis=1)
    return {
        "mean_cosine_to_plain": round(float(values.mean()), 6),
        "least_cosine_to_plain": round(float(values.min()), 6),
    }


def print_table(report: dict[str, Any]) -> None:
    console = Console(width=140)
    info = report["machine"]
    console.print(f"{info['cpu']}, {info['threads']} threads, {info['isa']}, torch {info['torch']}, {info['date']}")
    table = Table(box=None, header_style="bold")
    for column in ("method", "tokens/s", "x plain", "% of peak floor", "% of shapes floor", "peak MiB", "cosine"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in report["results"]:
        floors = row.get("floor")
        table.add_row(
            row["method"],
            f"{row['tokens_per_second']:,.0f}",
            f"{row['times_plain']:.2f}",
            f"{100 * row['share_of_peak_floor']:.0f}" if floors else "",
            f"{100 * row['share_of_shapes_floor']:.0f}" if floors else "",
            f"{row['peak_memory_bytes'] / 2**20:,.0f}",
            f"{row['mean_cosine_to_plain']:.5f}",
        )
    console.print(table)
    for row in report["results"]:
        if "breakdown" in row:
            parts = ", ".join(f"{label} {100 * share:.1f}%" for label, share in row["breakdown"].items())
            f = row["floor"]
            console.print(f"{row['method']}, {row['batch_tokens']:,}-token batches: {parts}")
            console.print(
                f"  floor: {f['peak_tokens_per_second']:,.0f} tokens/s at {f['peak_flops'] / 1e9:,.0f} GFLOP/s (peak), "
                f"{f['model_shapes_tokens_per_second']:,.0f} at {f['model_shapes_flops'] / 1e9:,.0f} (model shapes)"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="hub name, folder or GGUF file (default: SmolLM2-135M)")
    parser.add_argument("--texts", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tau", type=float, default=0.1)
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    parser.add_argument("--run", choices=METHODS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.model = args.model or str(fetch_smollm2())
    if args.run:
        print(json.dumps(run_method(args.run, args)))
        return
    import tempfile

    report: dict[str, Any] = {"machine": machine(), "command": " ".join(sys.argv), "results": []}
    with tempfile.TemporaryDirectory() as scratch:
        for method in args.methods:
            options = ["--run", method, "--scratch", scratch, "--model", args.model, "--device", args.device]
            options += ["--texts", str(args.texts), "--rounds", str(args.rounds), "--tau", str(args.tau)]
            options += ["--batch-tokens", str(args.batch_tokens)] if args.batch_tokens else []
            done = subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, check=True, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            row |= cosines(scratch, method)
            report["results"].append(row)
    plain = report["results"][0]["tokens_per_second"]
    for row in report["results"]:
        row["times_plain"] = round(row["tokens_per_second"] / plain, 3)
        if "floor" in row:
            row["share_of_peak_floor"] = round(row["tokens_per_second"] / row["floor"]["peak_tokens_per_second"], 4)
            row["share_of_shapes_floor"] = round(
                row["tokens_per_second"] / row["floor"]["model_shapes_tokens_per_second"], 4
            )
    print_table(report)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
