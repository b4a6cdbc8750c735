"""Ctrl-C waits for the block in flight."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed, once (`requested`) or again while a block was in flight (`insisted`)."""

    def __init__(self) -> None:
        self.requested = False
        self.insisted = False
        self._deferred = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While this block runs, the first Ctrl-C is only noted; a second one still interrupts."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler."""
        self.insisted = self.requested
        self.requested = True
        if self.insisted or not self._deferred:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Handle Ctrl-C by an `Interrupt` until the block ends; in other threads than the main one, leave it alone."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
