"""What a watch says on standard error: a status line on a terminal; elsewhere troubles alone."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from rise_store.records import WatchStatus


class WatchProgress:
    """The status line; a context manager."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        self._line = Status("loading the model", console=self._console) if self._console.is_terminal else None

    def __enter__(self) -> WatchProgress:
        if self._line is not None:
            self._line.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.stop()

    def trouble(self, message: str) -> None:
        """A file that cannot be read, or a store that is out of reach."""
        self._console.print(f"watch: {' '.join(message.split())}", markup=False, soft_wrap=True)

    def block(self, status: WatchStatus) -> None:
        """Show how it is doing."""
        if self._line is None:
            return
        counts, lag = status.counts, status.lag
        left_out = counts.rejected + counts.too_short + counts.refused
        line = f"{counts.new + counts.replaced:,} stored, {counts.unchanged + counts.updated:,} known"
        line += f", {left_out:,} left out" if left_out else ""
        line += f", lag {lag.last or 0:.1f} s (95 %: {lag.p95 or 0:.1f} s)"
        line += f", {status.queue_bytes:,} bytes behind" if status.queue_bytes else ""
        self._line.update(escape(f"watching {status.files_watched:,} files: {line}"))
