"""Runs and receipts as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import one_line
from rise_store.records import IngestTotals, Receipt, Run, RunCheck

SILENCE = 60  # seconds without a receipt after which a running run may well be dead
_COUNTS = ("new", "replaced", "updated", "recovered", "unchanged", "refused", "too_short", "rejected")


def print_runs(out: Console, runs: Sequence[Run]) -> None:
    """One line a run."""
    if not runs:
        out.print("no such runs")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "dataset", "began", "state", "rows", "what became of them"):
        table.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
    for run in runs:
        counts = _counts(run.counts) if run.counts is not None else one_line(run.message, 120)
        dataset = run.dataset.name + (f" {run.dataset.version}" if run.dataset.version else "")
        table.add_row(
            run.id[:8], Text(dataset), run.started_at[:19], _state(run), f"{run.covered:,}", Text(counts or "-")
        )
    out.print(table)


def print_run(out: Console, run: Run, receipts: Sequence[Receipt], *, each: bool) -> None:
    """All that is known of a run; with `each`, its receipts too."""
    counts = run.counts or IngestTotals()
    seconds = sum(receipt.seconds for receipt in receipts)
    rows: list[tuple[str, str]] = [
        ("state", _state(run)),
        ("message", run.message),
        ("dataset", run.dataset.name + (f", version {run.dataset.version}" if run.dataset.version else "")),
        ("space", run.space),
        *((f"source {number}", _source(run, number - 1)) for number in range(1, len(run.sources) + 1)),
        ("settings", ", ".join(f"{name} {value}" for name, value in run.settings.items())),
        ("began", f"{run.started_at} on {run.host or '?'}, rise_store {run.created_with}"),
        ("ended", run.finished_at or ""),
        ("last receipt", run.last_receipt_at or ""),
        ("attempts", str(run.attempts)),
        ("rows", f"{run.covered if run.rows is None else run.rows:,} in {len(receipts):,} blocks"),
        ("examples", _counts(counts)),
        ("shared", f"{counts.shared:,} took the signature of an equal text" if counts.shared else ""),
        ("tokens", f"{counts.tokens:,}, {counts.tokens / seconds:,.0f} a second" if counts.tokens and seconds else ""),
        ("named by", "" if run.found is None else f"{run.found:,} stored examples when it closed"),
        ("vanished", f"{run.vanished:,} examples of earlier versions" if run.vanished else ""),
    ]
    out.print(Text(run.id, style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(name, Text(value))
    out.print(table)
    if each:
        _print_receipts(out, receipts)
    for reason in dict.fromkeys(reject.reason for receipt in receipts for reject in receipt.rejects):
        out.print(Text(f"not stored: {one_line(reason, 400)}"))


def print_check(out: Console, check: RunCheck) -> None:
    """How a run's receipts and the store compare."""
    out.print(
        f"{check.receipts:,} receipts of {check.rows:,} rows speak of {check.written:,} examples; the store has "
        f"{check.found:,} that name the run"
    )
    for note in check.notes:
        out.print(Text(note))


def _print_receipts(out: Console, receipts: Sequence[Receipt]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rows", "begins at", "stored", "seconds", "by", "what became of them"):
        table.add_column(name, justify="right" if name in ("rows", "seconds") else "left", overflow="fold")
    for receipt in receipts:
        table.add_row(
            f"{receipt.first:,}-{receipt.last:,}",
            Text(receipt.begins_at),
            receipt.stored_at[:19],
            f"{receipt.seconds:.2f}",
            Text(receipt.worker),
            _counts(receipt.counts),
        )
    out.print(table)


def _state(run: Run) -> str:
    if run.state != "RUNNING":
        return run.state
    last = datetime.fromisoformat(run.last_receipt_at or run.started_at)
    silent = int((datetime.now(timezone.utc) - last).total_seconds())
    return f"RUNNING, no news for {_duration(silent)}" if silent >= SILENCE else "RUNNING"


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _source(run: Run, index: int) -> str:
    source = run.sources[index]
    size = "" if source.bytes is None else f", {source.bytes:,} bytes"
    digest = ", cannot be read twice" if source.sha256 is None else f", SHA-256 {source.sha256}"
    return f"{source.uri} ({source.format}{size}{digest})"


def _counts(counts: IngestTotals) -> str:
    return ", ".join(f"{getattr(counts, name):,} {name.replace('_', ' ')}" for name in _COUNTS if getattr(counts, name))
