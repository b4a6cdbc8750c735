"""Progress on standard error: bars with rate and ETA on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rise_store.corpus import ExampleReader
from rise_store.records import IngestTotals

SOONEST = 0.5  # seconds of work before a rate says anything


def _console() -> Console:
    return Console(file=sys.stderr, highlight=False)


def rate(done: float, started: float, unit: str = "") -> str:
    """How much is done a second since `started`, to stand behind a count; empty right after the start."""
    elapsed = time.monotonic() - started
    return f", {done / elapsed:,.0f}{unit}/s" if elapsed >= SOONEST else ""


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner beside `what`, for work whose end is unknown."""
    console = _console()
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


@contextmanager
def example_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of examples done, with rate and ETA; yields what to call with examples done and examples in all."""
    console = _console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} examples{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=0, rate="")
        started = time.monotonic()

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, rate=rate(done, started))

        yield update


class IngestProgress:
    """The bar of an ingestion: share of the corpus read, tokens/s, ETA, and what became of the examples."""

    def __init__(self, source: ExampleReader | int) -> None:
        """Follow a reader by the bytes it has read, or count up to a known number of examples."""
        self._source = source
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=_console(),
            transient=True,
            disable=not _console().is_terminal,
        )
        total = source if isinstance(source, int) else source.total_bytes
        self._task = self._bar.add_task("loading the model", total=total, counts="")
        self._started: float | None = None

    def __enter__(self) -> IngestProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line for people on standard error, above the bar."""
        self._bar.console.print(line, markup=False, soft_wrap=True)

    def __call__(self, totals: IngestTotals, tokens: int) -> None:
        """Show the totals so far."""
        if self._started is None:
            self._started = time.monotonic()
        stored, known = totals.new + totals.replaced, totals.unchanged + totals.updated + totals.recovered
        left_out = totals.too_short + totals.rejected
        done = totals.stored + left_out if isinstance(self._source, int) else self._source.bytes_read
        self._bar.update(
            self._task,
            description="ingesting",
            completed=done,
            counts=f"{stored:,} stored, {known:,} known{rate(tokens, self._started, ' tokens')}",
        )


def token_bar(what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar of tokens done, with ETA; yields what to call with tokens done and tokens in all."""
    return _bar(what, "tokens")


def search_bar(what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar of searches done, with ETA; yields what to call with searches done and searches in all."""
    return _bar(what, "searches")


def explanation_bar(what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar of explanations done, with ETA; yields what to call with explanations done and explanations in all."""
    return _bar(what, "explanations")


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    console = _console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.fields[all]} " + unit),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, all="?")
        yield lambda done, total: bar.update(task, completed=done, total=total, all=f"{total:,}")


def row_bar(what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar of stored examples read, with ETA; yields what to call with examples read and examples in all."""
    return _bar(what, "examples")
