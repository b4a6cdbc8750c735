"""Speed of ingestion from file to store: against the model alone, of skipping, of resuming, and over a long run.

    python tools/bench_ingest.py                                    # all parts but the soak, SmolLM2-135M in bfloat16
    python tools/bench_ingest.py --parts throughput --tokens 60000 --rounds 5 --json ingest.json
    python tools/bench_ingest.py --soak 30 --corpus FOLDER          # minutes over the text files of a folder

Texts are passages of the Python language reference and docstrings of the standard library. Parts:

throughput: in each round, on texts of its own, one after the other: the model alone on the tokenized chunks, all
    sorted by length; `AttributionStore.ingest` of a JSON Lines file, from its first byte to the closed run; and the
    plain way: read all rows, encode 64 at a time as they come, store them. Medians of tokens/s; the model's wait as
    the run reports it.
unchanged: a file of stored rows is ingested again, with nothing to encode: rows/s. What is stored has made-up
    signatures: they are not looked at.
resume: `ingest` in a process of its own is killed at half; it is started again: seconds from the start of the
    ingestion, with the model loaded, until the run knows what is done, until the first new batch is encoded, and until
    the first new block is stored.
soak: resident memory every 10 seconds, of which anonymous, and tokens/s by minute; growth from the second minute on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table
from store_workload import real_texts

from rise_store import AttributionStore
from rise_store.corpus import fetch_smollm2
from rise_store.records import ChannelNorms, Example, IngestTotals
from rise_store.signature import SignatureEncoder, Signatures
from rise_store.store import Point, build_payload, point_id
from rise_store.version import __version__

PARTS = ("throughput", "unchanged", "resume")
PLAIN_ROWS = 64
SAMPLE_S = 10.0
SETTLED_S = 120.0  # memory is compared with that of this moment
PASSAGE_CHARACTERS = 1_200

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="hub name, folder or GGUF file; by default SmolLM2-135M from its PyPI wheel")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--tokens", type=int, default=100_000, help="of a round of the throughput, and of a resumed run"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000, help="of the unchanged corpus")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only this part")
    parser.add_argument("--corpus", type=Path, help="text file, or folder of text files, of the soak")
    parser.add_argument("--folder", type=Path, help="where stores are made; by default a temporary folder")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--child", nargs=3, metavar=("CORPUS", "STORE", "LOG"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.model = args.model or str(fetch_smollm2(progress=lambda line: print(line, file=sys.stderr)))
    if args.child:
        ingest_with_log(args, *map(Path, args.child))
        return
    if args.soak is not None and args.corpus is None:
        parser.error("--soak needs --corpus")
    report: dict[str, Any] = {
        "rise_store": __version__,
        "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
        "model": Path(args.model).name,
        "dtype": args.dtype,
    }
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="bench-ingest-") as folder:
        if args.soak is not None:
            report["soak"] = soak(args, Path(folder))
        else:
            parts: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
                "throughput": throughput,
                "unchanged": unchanged,
                "resume": resume,
            }
            for part in args.parts:
                report[part] = parts[part](args, Path(folder) / part)
                show(part, report[part])
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def load(args: argparse.Namespace) -> SignatureEncoder:
    return SignatureEncoder.from_pretrained(args.model, dtype=args.dtype, device=args.device)


def write_jsonl(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def shuffled_rows() -> list[Row]:
    """The texts as rows, in an order of no meaning, so that every slice is like every other."""
    texts = real_texts()
    random.Random(0).shuffle(texts)
    return [{"id": f"text-{number}", "text": text} for number, text in enumerate(texts)]


def slices(encoder: SignatureEncoder, tokens: int, rounds: int) -> list[list[Row]]:
    """Rows for each round, about `tokens` tokens each; all different, as far as the texts reach."""
    rows = iter(shuffled_rows())
    cut: list[list[Row]] = []
    for _ in range(rounds):
        taken: list[Row] = []
        left = tokens
        while left > 0 and (row := next(rows, None)) is not None:
            taken.append(row)
            left -= sum(map(len, encoder.chunks([row["text"]])[0]))
        if left > 0:
            raise SystemExit("the texts do not reach for that many tokens and rounds: ask for fewer")
        cut.append(taken)
    return cut


def throughput(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    encoder = load(args)
    rounds = slices(encoder, args.tokens, args.rounds)
    encoder.encode([row["text"] for row in rounds[0][:20]])  # not counted
    measured: list[dict[str, float]] = []
    with AttributionStore.open(folder / "store") as store, AttributionStore.open(folder / "plain") as plain:
        for number, rows in enumerate(rounds):
            file = write_jsonl(folder / f"{number}.jsonl", rows)
            chunks = encoder.chunks([row["text"].strip() for row in rows])
            chunk_tokens = sum(len(chunk) for parts in chunks for chunk in parts)
            started = time.monotonic()
            encoder.encode_chunks(chunks)
            alone = time.monotonic() - started
            started = time.monotonic()
            report = store.ingest(file, dataset=f"round-{number}", model=encoder)
            whole = time.monotonic() - started
            assert (report.new, report.state) == (len(rows), "COMPLETE")
            started = time.monotonic()
            ingest_plainly(plain, encoder, file, f"round-{number}")
            measured.append(
                {
                    "model_tokens_per_s": chunk_tokens / alone,
                    "ingest_tokens_per_s": chunk_tokens / whole,
                    "plain_tokens_per_s": chunk_tokens / (time.monotonic() - started),
                    "ingest_rows_per_s": len(rows) / whole,
                    "share_of_model": alone / whole,
                    "model_waited": report.model_waited,
                }
            )
    medians = {name: statistics.median(one[name] for one in measured) for name in measured[0]}
    return {"tokens": args.tokens, "rounds": measured, **medians}


def ingest_plainly(store: AttributionStore, encoder: SignatureEncoder, file: Path, dataset: str) -> None:
    """One step after the other: read all, encode in order, store."""
    backend = store._backend
    spaces = backend.spaces()
    collection = (
        backend.open_collection(spaces[0].fingerprint)
        if spaces
        else backend.create_space(encoder.space(), encoder.tables.arrays())
    )
    examples = [Example(**orjson.loads(line)) for line in file.read_bytes().splitlines()]
    for start in range(0, len(examples), PLAIN_ROWS):
        batch = examples[start : start + PLAIN_ROWS]
        encoded = encoder.encode(batch)
        points = []
        for number, example in enumerate(batch):
            rh, gh = map(float, encoded.channel_norms[number])
            payload = build_payload(
                example_id=example.key,
                dataset=dataset,
                content_sha256=example.content_sha256,
                record_sha256="",
                run_id="",
                ingested_at="2026-01-01T00:00:00Z",
                tokens=int(encoded.token_counts[number]),
                chunks=int(encoded.chunk_counts[number]),
                channel_norms=ChannelNorms(rh=rh, gh=gh),
                text=example.content,
            )
            points.append(
                Point(point_id(encoder.fingerprint, dataset, example.key), encoded.signatures[number], payload)
            )
        collection.upsert(points)


def unchanged(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    texts = [row["text"] for row in shuffled_rows()]
    rows = [{"id": f"row-{n}", "text": f"{texts[n % len(texts)]}\n{n}"} for n in range(args.rows)]
    file = write_jsonl(folder / "rows.jsonl", rows)
    encoder = load(args)
    real = encoder.encode_chunks
    seconds: list[float] = []
    with AttributionStore.open(folder / "store") as store:
        encoder.encode_chunks = made_up(encoder.dim)  # type: ignore[method-assign]
        store.ingest(file, dataset="rows", model=encoder)
        encoder.encode_chunks = real  # type: ignore[method-assign]
        for _ in range(args.rounds):
            started = time.monotonic()
            report = store.ingest(file, dataset="rows", model=encoder)
            seconds.append(time.monotonic() - started)
            assert (report.unchanged, report.tokens) == (args.rows, 0)
    return {
        "rows": args.rows,
        "bytes": file.stat().st_size,
        "seconds": seconds,
        "rows_per_s": args.rows / statistics.median(seconds),
    }


def made_up(dim: int) -> Any:
    """Random signatures for any chunks."""
    generator = np.random.default_rng(0)

    def encode_chunks(chunks: Sequence[Sequence[Sequence[int]]], *, progress: object = None) -> Signatures:
        rows = generator.standard_normal((len(chunks), dim), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        norms = np.full((len(chunks), 2), 0.5**0.5, dtype=np.float32)
        tokens = np.array([sum(map(len, parts)) for parts in chunks], dtype=np.int64)
        return Signatures(rows, norms, tokens, np.array([len(parts) for parts in chunks], dtype=np.int64))

    return encode_chunks


def resume(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    encoder = load(args)
    (rows,) = slices(encoder, args.tokens, 1)
    del encoder
    file = write_jsonl(folder / "rows.jsonl", rows)
    first = watch_child(args, file, folder / "store", folder / "first.log", kill_at=len(rows) // 2)
    second = watch_child(args, file, folder / "store", folder / "second.log", kill_at=None)
    began = second[0]["at"]
    news = [entry for entry in second[1:] if entry["tokens"]]
    if not news:
        raise SystemExit("the run was through before it could be killed at half: ask for more --tokens")
    before = second[1]["new"]
    done = second[-1]
    assert (done["state"], done["new"] + done["recovered"]) == ("COMPLETE", len(rows))
    return {
        "rows": len(rows),
        "killed_at_rows": first[-1]["new"],
        "resumed_rows": done["resumed_rows"],
        "encoded_tokens": {"first": first[-1]["tokens"], "second": news[-1]["tokens"], "run": done["run_tokens"]},
        "seconds_to_first_batch": news[0]["at"] - began,
        "seconds_to_first_block": next(entry["at"] for entry in news if entry["new"] > before) - began,
        "seconds_in_all": done["at"] - began,
    }


def watch_child(
    args: argparse.Namespace, file: Path, store: Path, log: Path, kill_at: int | None
) -> list[dict[str, Any]]:
    """What a process that ingests a file logs; it is killed when so many rows are stored."""
    command = [sys.executable, __file__, "--model", args.model, "--dtype", args.dtype, "--device", args.device]
    log.touch()
    child = subprocess.Popen([*command, "--child", str(file), str(store), str(log)])
    while child.poll() is None:
        time.sleep(0.02)
        if kill_at is not None and any(entry.get("new", 0) >= kill_at for entry in entries(log)[-1:]):
            child.send_signal(signal.SIGKILL)
            child.wait()
            return entries(log)
    if child.returncode != 0:
        raise SystemExit("the ingestion failed")
    return entries(log)


def entries(log: Path) -> list[dict[str, Any]]:
    whole = log.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def ingest_with_log(args: argparse.Namespace, corpus: Path, store: Path, log: Path) -> None:
    """What the child does."""
    encoder = load(args)
    with log.open("w", buffering=1) as file, AttributionStore.open(store) as opened:

        def write(**fields: Any) -> None:
            file.write(json.dumps({"at": time.monotonic(), **fields}) + "\n")

        write(began=True)
        report = opened.ingest(
            corpus,
            dataset="rows",
            model=encoder,
            progress=lambda totals, tokens: write(new=totals.new + totals.recovered, tokens=tokens),
        )
        write(
            state=report.state,
            new=report.new,
            recovered=report.recovered,
            resumed_rows=report.resumed_rows,
            run_tokens=report.tokens,
            tokens=0,
        )


def soak(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    encoder = load(args)
    started = time.monotonic()
    end = started + 60 * args.soak
    samples: list[dict[str, float]] = []
    done = {"tokens": 0, "rows": 0}
    over = threading.Event()

    def progress(totals: IngestTotals, tokens: int) -> None:
        done.update(tokens=tokens, rows=totals.new)

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            samples.append({"s": round(time.monotonic() - started, 1), **resident_mib(), **done})
            print(json.dumps(samples[-1]), file=sys.stderr, flush=True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with AttributionStore.open(folder / "store") as store:
            report = store.ingest(passages(args.corpus, until=end), dataset="soak", model=encoder, progress=progress)
    finally:
        over.set()
        watcher.join()
    settled = next((sample for sample in samples if sample["s"] >= SETTLED_S), samples[0])
    last = [sample for sample in samples if sample["s"] <= end - started][-1]
    result = {
        "minutes": args.soak,
        "rows": report.new,
        "tokens": report.tokens,
        "tokens_per_s": report.tokens_per_second,
        "model_waited": report.model_waited,
        "settled": settled,
        "last": last,
        "growth": {name: last[name] / settled[name] - 1 for name in ("resident", "anonymous")},
        "samples": samples,
    }
    show("soak", result)
    return result


def resident_mib() -> dict[str, float]:
    """Resident memory of this process, and the anonymous part of it: without the pages of the store's files."""
    status = Path("/proc/self/status").read_text()
    fields = {
        line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith(("VmRSS", "RssAnon"))
    }
    return {"resident": int(fields["VmRSS"].split()[0]) / 1024, "anonymous": int(fields["RssAnon"].split()[0]) / 1024}


def passages(corpus: Path, until: float) -> Iterator[Row]:
    """Passages of the text files, again and again until the time is up; all different."""
    files = [corpus] if corpus.is_file() else sorted(path for path in corpus.rglob("*") if path.is_file())
    number = 0
    for lap in range(1_000_000):
        before = number
        for path in files:
            with path.open(encoding="utf-8", errors="replace") as file:
                while text := file.read(PASSAGE_CHARACTERS):
                    if time.monotonic() > until:
                        return
                    if len(text.split()) < 5 or "\0" in text:
                        continue
                    number += 1
                    yield {"id": f"passage-{number}", "text": text if lap == 0 else f"{lap}. {text}"}
        if number == before:
            raise SystemExit(f"{corpus} holds no text")


def show(part: str, result: dict[str, Any]) -> None:
    table = Table(title=part, box=None, title_justify="left", show_header=False)
    for name, value in result.items():
        if isinstance(value, int | float):
            table.add_row(name, f"{value:,.3f}" if isinstance(value, float) and value < 100 else f"{value:,.0f}")
        elif isinstance(value, dict):
            table.add_row(name, ", ".join(f"{key} {number:,.3f}" for key, number in value.items()))
    Console().print(table)


if __name__ == "__main__":
    main()
