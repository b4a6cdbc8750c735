"""One task over many models, for people with a network and a GPU: quality, speed, memory and bytes of each.

    python tools/model_matrix.py --list
    python tools/model_matrix.py --models 'pythia-(14m|70m|160m)$' --out matrix.jsonl
    python tools/model_matrix.py --models olmo --dtype bfloat16 --device cuda --data DATA --out matrix.jsonl
    python tools/model_matrix.py --out matrix.jsonl FOLDER ...      # further models: folders, GGUF files, hub names

The models are Pythia (14M to 6.9B) and OLMo 2 (1B to 32B), by their names on the Hugging Face hub. Each runs in a
process of its own, which downloads it, stores the training rows of the task, asks the task's queries and measures; that
adds a line of JSON to `--out`. A model that has a line for the same task, data and settings is passed over, so that a
matrix that was stopped goes on; one that failed has a line with its error and is tried again with `--retry`.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store import AttributionStore
from rise_store.digests import json_sha256
from rise_store.errors import RiseStoreError
from rise_store.evaluation.tasks import TASKS, load_task, make_task_data
from rise_store.records import EstimatorConfig
from rise_store.signature import SignatureEncoder
from rise_store.version import __version__

PYTHIA = ("14m", "31m", "70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b")
OLMO = ("0425-1B", "1124-7B", "1124-13B", "0325-32B")
MODELS = (*(f"EleutherAI/pythia-{size}" for size in PYTHIA), *(f"allenai/OLMo-2-{size}" for size in OLMO))

Line = dict[str, Any]
Measure = Callable[[str, argparse.Namespace], Line]


def measure_model(model: str, args: argparse.Namespace) -> Line:
    """Run the task with one model in this process."""
    import torch

    data = load_task(TASKS[args.task], args.data, rows=args.rows, queries=args.queries)
    started = time.perf_counter()
    config = EstimatorConfig(**args.estimator)
    spread: dict[str, Any] = {"device_map": "auto"} if args.spread else {}
    encoder = SignatureEncoder.from_pretrained(model, config, dtype=args.dtype, device=args.device, **spread)
    loaded = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder, AttributionStore.open(Path(folder) / "store") as store:
        report = store.run_task(data, model=encoder, bootstrap=args.bootstrap)
        (space,) = store.info().spaces
    quality: dict[str, dict[str, dict[str, Any]]] = {}
    for result in report.results:
        measures = {one.label: [one.value, one.low, one.high] for one in result.evaluation.measures}
        quality.setdefault(result.queries, {})[result.setting] = measures
    cuda = torch.cuda.is_available() and args.device != "cpu"
    return {
        "architecture": space.space.architecture,
        "hidden_size": space.space.hidden_size,
        "vocabulary_size": space.space.vocabulary_size,
        "space": report.space,
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "quality": quality,
        "rows": space.examples,
        "tokens": report.tokens,
        "tokens_per_second": round(report.tokens / report.ingest_seconds, 1),
        "bytes_per_row": round((space.logical_bytes or 0) / space.examples),
        "store_bytes": space.size_bytes,
        "peak_device_bytes": torch.cuda.max_memory_allocated() if cuda else None,
        "peak_resident_bytes": peak_resident_bytes(),
        "load_seconds": round(loaded - started, 1),
        "seconds": round(report.seconds, 1),
    }


def peak_resident_bytes() -> int | None:
    """The most resident memory of this process so far; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_in_process(model: str, args: argparse.Namespace) -> Line:
    """The same in a process of its own: what kills it, such as a lack of memory, is an error of that model alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "line.json"
        command = [sys.executable, __file__, *args.given, "--data", str(args.data), "--child", model, str(out)]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
        if out.is_file():
            line: Line = json.loads(out.read_bytes())
            return line
    words = [text.strip() for text in done.stderr.splitlines() if text.strip()] or ["it said nothing"]
    return {"error": f"the process ended with exit code {done.returncode}: {words[-1][:500]}"}


def attempt(measure: Measure, model: str, args: argparse.Namespace) -> Line:
    """What a model measured, or its error."""
    try:
        return measure(model, args)
    except RiseStoreError as error:
        return {"error": str(error)}
    except Exception as error:  # of torch, of the hub's client: a matrix goes on
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}


def run(models: Sequence[str], args: argparse.Namespace, measure: Measure, say: Callable[[str], None]) -> list[Line]:
    """Measure the models that have no line yet; all lines of this task and these settings, the last of each model."""
    settings = {
        "task": args.task,
        "data": load_task(TASKS[args.task], args.data, rows=args.rows, queries=args.queries).sha256[:16],
        "dtype": args.dtype,
        "estimator": args.estimator,
        "version": __version__,
    }
    same = json_sha256(settings)[:16]
    lines = {line["model"]: line for line in read_lines(args.out) if line["settings_sha256"] == same}
    for model in models:
        before = lines.get(model)
        if before is not None and not (args.retry and "error" in before):
            say(f"{model}: has a line" + (", its error: --retry tries again" if "error" in before else ""))
            continue
        say(f"{model}: running")
        result = attempt(measure, model, args)
        lines[model] = {"model": model, "settings_sha256": same, **settings, **result}
        append_line(args.out, lines[model])
        say(f"{model}: {result.get('error') or str(result['tokens_per_second']) + ' tokens/s'}")
    return [lines[model] for model in models]


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of an earlier matrix; half a line, of a matrix that was killed, is passed over."""
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "model" in line and "settings_sha256" in line:
            yield line


def append_line(path: Path, line: Line) -> None:
    """On a line of its own, whatever a matrix that was killed has left."""
    begun = path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * begun + json.dumps(line) + "\n")


def print_lines(lines: Sequence[Line], k: int = 10) -> None:
    """A table: for the first group of queries, auPRC at K under each setting."""
    settings = list(dict.fromkeys(name for line in lines for name in _first(line.get("quality", {}))))
    table = Table(title=f"auPRC@{k}", box=None)
    table.add_column("model")
    for column in (*settings, "tokens/s", "bytes a row", "peak memory"):
        table.add_column(Text(column), justify="right")
    for line in lines:
        if "error" in line:
            table.add_row(Text(line["model"]), Text(line["error"][:60]))
            continue
        found = _first(line["quality"])
        values = [found[name].get(f"auprc@{k}", [None])[0] if name in found else None for name in settings]
        memory = line["peak_device_bytes"] or line["peak_resident_bytes"]
        table.add_row(
            Text(line["model"]),
            *("-" if value is None else f"{value:.3f}" for value in values),
            f"{line['tokens_per_second']:,.0f}",
            f"{line['bytes_per_row']:,}",
            "-" if memory is None else f"{memory / 2**30:,.2f} GiB",
        )
    Console().print(table)


def _first(quality: dict[str, Any]) -> dict[str, Any]:
    return next(iter(quality.values()), {})


def regex(text: str) -> re.Pattern[str]:
    """As an argument."""
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def settings(text: str) -> dict[str, Any]:
    """Settings of the estimator as an argument, a JSON object."""
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
        EstimatorConfig(**found)
    except ValidationError as error:
        first = error.errors()[0]
        raise argparse.ArgumentTypeError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from None
    return found


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("further", nargs="*", metavar="MODEL", help="models beside those of the list")
    parser.add_argument(
        "--models", type=regex, metavar="REGEX", help="of the list, those that match; all, where none is named"
    )
    parser.add_argument("--list", action="store_true", help="print the models and end")
    parser.add_argument("--task", choices=sorted(TASKS), default="howdy", help="default: %(default)s")
    parser.add_argument("--data", type=Path, help="folder of the task's data; by default it is generated")
    parser.add_argument("--rows", type=int, help="training rows, from the first (default: all)")
    parser.add_argument("--queries", type=int, help="queries of each group, from the first (default: all)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="bfloat16")
    parser.add_argument("--device", default="auto", help="default: %(default)s")
    parser.add_argument("--spread", action="store_true", help="spread each model over all GPUs (needs accelerate)")
    parser.add_argument("--estimator", type=settings, default="{}", metavar="JSON", help="as in '{\"kr\": 16}'")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples of intervals (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where stores are made; by default a temporary folder")
    parser.add_argument("--out", type=Path, default=Path("matrix.jsonl"), help="default: %(default)s")
    parser.add_argument("--retry", action="store_true", help="try models again that failed")
    parser.add_argument("--child", nargs=2, metavar=("MODEL", "OUT"), help=argparse.SUPPRESS)
    return parser


def main(given: Sequence[str] | None = None, measure: Measure = measure_in_process) -> int:
    args = make_parser().parse_args(given)
    args.given = list(sys.argv[1:] if given is None else given)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    listed = list(MODELS) if args.models or not args.further else []
    models = [*(name for name in listed if not args.models or args.models.search(name)), *args.further]
    if args.list:
        print("\n".join(models))
        return 0
    if args.child:
        model, out = args.child
        Path(out).write_text(json.dumps(attempt(measure_model, model, args)), encoding="utf-8")
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            args.data = args.data or make_task_data(args.task, Path(folder) / "data")
            lines = run(models, args, measure, say)
    except RiseStoreError as error:
        say(f"error: {error}")
        return error.exit_code
    print_lines(lines)
    return 1 if any("error" in line for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
