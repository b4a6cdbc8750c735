"""Bars of `value`, `select`, `self-influence` and `duplicates`: silent where standard error is no terminal."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rise_store.cli.progress import rate
from rise_store.corpus import ExampleReader


class RowProgress:
    """A bar of rows: by the bytes that a reader has read, or of so many in all."""

    def __init__(self, what: str, reader: ExampleReader | None = None) -> None:
        self._what = what
        self._reader = reader
        console = Console(file=sys.stderr, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rows]:,} rows{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        total = None if reader is None else reader.total_bytes
        self._task = self._bar.add_task("loading the model", total=total, rows=0, rate="")
        self._started: float | None = None

    def __enter__(self) -> RowProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line for people on standard error, above the bar."""
        self._bar.console.print(line, markup=False, soft_wrap=True)

    def __call__(self, done: int, total: int | None) -> None:
        """Show rows done, and how far that is."""
        if self._started is None:
            self._started = time.monotonic()
        self._bar.update(self._task, description=self._what, rows=done, rate=rate(done, self._started))
        if self._reader is not None:
            self._bar.update(self._task, completed=self._reader.bytes_read)
        else:
            self._bar.update(self._task, completed=done, total=total)
