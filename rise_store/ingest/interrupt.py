"""Ctrl-C and SIGTERM wait for what is in flight."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether the run is to stop: asked once (`requested`), or again (`insisted`), which raises `KeyboardInterrupt`."""

    def __init__(self) -> None:
        self.requested = False
        self.insisted = False
        self.by = "Ctrl-C"

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler. It only sets flags: a lock that its own thread holds would never come free."""
        self.insisted = self.requested
        self.requested = True
        self.by = "SIGTERM" if signum == signal.SIGTERM else "Ctrl-C"
        if self.insisted:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Handle Ctrl-C and SIGTERM by an `Interrupt` until the block ends; in other threads than the main one, neither."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, interrupt.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
