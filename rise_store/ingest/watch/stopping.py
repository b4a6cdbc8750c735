"""SIGTERM and Ctrl-C end a watch after the block in flight."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the watch is to end: a signal came, or an event was set."""

    def __init__(self, event: threading.Event | None = None) -> None:
        self._event = event
        self._signalled = False

    @property
    def requested(self) -> bool:
        """Whether it is to end."""
        return self._signalled or (self._event is not None and self._event.is_set())

    @contextlib.contextmanager
    def by_signal(self) -> Iterator[None]:
        """Let signals ask for it until the block ends; in other threads than the main one, leave them alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = [(number, signal.signal(number, self._handle)) for number in _SIGNALS]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
