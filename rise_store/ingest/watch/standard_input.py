"""Lines of standard input, as they come."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from contextlib import AbstractContextManager
from typing import BinaryIO

from rise_store.corpus.formats import JsonLines
from rise_store.corpus.locations import StandardInput
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.ingest.watch.followed import Arrived, Followed
from rise_store.ingest.watch.formats import Formats
from rise_store.ingest.watch.positions import Position
from rise_store.ingest.watch.seen import Seen

NAME = "<stdin>"
_MOST_WAITING = 1_000  # rows that are read ahead


class FollowedInput(Followed):
    """Standard input: JSON Lines until its end. It has no position, since it cannot be read again."""

    def __init__(self, wake: threading.Event, formats: Formats) -> None:
        super().__init__(NAME, "-", "", None)
        self.ended = False
        self.failure: InputError | None = None  # why it ended before its end
        self._stopped = False
        self._handing = threading.Lock()  # held while a row is put into the queue
        self._wake = wake
        self._waiting: queue.Queue[tuple[RawRow | RejectedRow, float] | None] = queue.Queue(_MOST_WAITING)
        self._formats = formats
        self._number = 0
        threading.Thread(target=self._listen, name="rise-store-stdin", daemon=True).start()

    def notice(self, seen: Seen, at: float, *, waits: bool = True) -> None:
        """See `Followed.notice`: never called."""

    def ready_in(self, now: float) -> float | None:
        """See `Followed.ready_in`."""
        return None if self._waiting.empty() else 0.0

    def next_row(self) -> Arrived | None:
        """See `Followed.next_row`; raises `failure` behind the last row."""
        while True:
            is_handing = self._handing.locked()  # before looking: afterwards it may have been put meanwhile
            try:
                arrived = self._waiting.get_nowait()
                break
            except queue.Empty:
                if not (self._stopped and is_handing):
                    return None
                time.sleep(0.001)
        if arrived is None:
            self.ended = True
            if self.failure is not None:
                raise self.failure
            return None
        row, at = arrived
        self._number += 1
        self.pending += 1
        return Arrived(self._formats.example(row), at, self, 0, self._number, 0)

    def oldest(self) -> float | None:
        """See `Followed.oldest`."""
        with self._waiting.mutex:
            first = self._waiting.queue[0] if self._waiting.queue else None
        return first[1] if first else None

    def checkpoint(self) -> Position | None:
        """See `Followed.checkpoint`."""
        return None

    def stop(self) -> None:
        """Read no further; `next_row` gives what was read."""
        self._stopped = True

    def _listen(self) -> None:
        try:
            for row in JsonLines(_Input(), encoding=self._formats.encoding):
                with self._handing:
                    if self._stopped:
                        return
                    self._waiting.put((row, time.monotonic()))
                self._wake.set()
        except InputError as error:
            self.failure = error
        except Exception as error:  # in a thread nobody else would hear of it
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            self.failure = InputError(f"{NAME}: cannot be read: {reason}; check what writes to it")
        finally:
            self._waiting.put(None)
            self._wake.set()


class _Input(StandardInput):
    """Standard input through a buffer of our own: as it ends, the interpreter waits for whoever reads from its own."""

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Its own descriptor, unless it was replaced by something in memory."""
        try:
            return open(os.dup(sys.stdin.fileno()), "rb")
        except (OSError, ValueError):
            return super().open()
