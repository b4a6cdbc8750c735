"""How a watch is doing, for its status file and its metrics."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from rise_store.errors import InputError
from rise_store.ingest.watch.followed import Followed
from rise_store.ingest.watch.storing import Stored
from rise_store.records import IngestTotals, WatchedFile, WatchLag, WatchState, WatchStatus
from rise_store.whole_files import whole_file

_LAGS = 2_000  # rows whose lag is kept
_FILES = 100  # files that a status names
_EVERY_S = 1.0


class Health:
    """What the loop notes and others read, in whatever thread."""

    def __init__(self, *, run_id: str, dataset: str, space: str, store: str, sources: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._lags: deque[float] = deque(maxlen=_LAGS)
        self._last_lag: float | None = None
        self._oldest: float | None = None
        self._recent: dict[str, Followed] = {}
        self._status = WatchStatus(
            state="starting",
            run_id=run_id,
            dataset=dataset,
            space=space,
            store=store,
            sources=sources,
            host=socket.gethostname(),
            pid=os.getpid(),
            since=_now(),
            updated_at=_now(),
            counts=IngestTotals(),
        )

    def is_now(self, state: WatchState) -> None:
        """Note the state."""
        self._update(state=state)

    def failed(self, message: str) -> None:
        """Note a failure of the store, or a file that cannot be read."""
        self._update(errors=self._status.errors + 1, last_error=message, last_error_at=_now())

    def stored(self, done: Stored, counts: IngestTotals) -> list[float]:
        """Note a block, and give the lags of its rows."""
        lags = [done.at - row.at for row in done.rows]
        with self._lock:
            self._lags.extend(lags)
            self._last_lag = max(lags, default=None)
            for row in done.rows:
                self._recent.pop(row.file.name, None)
                self._recent[row.file.name] = row.file
            while len(self._recent) > _FILES:
                del self._recent[next(iter(self._recent))]
        self._update(counts=counts, blocks=self._status.blocks + 1, store_seconds=round(done.store_seconds, 4))
        return lags

    def waits(self, *, oldest: float | None, rows: int, bytes: int, files: int, watched: int) -> None:
        """Note what has arrived and is not stored."""
        with self._lock:
            self._oldest = oldest
        self._update(queue_rows=rows, queue_bytes=bytes, queue_files=files, files_watched=watched)

    def lag(self) -> float:
        """Age of the oldest row that has arrived and is not stored."""
        with self._lock:
            return 0.0 if self._oldest is None else max(0.0, time.monotonic() - self._oldest)

    def status(self) -> WatchStatus:
        """How things stand at this moment."""
        now = self.lag()
        with self._lock:
            p95 = float(np.percentile(self._lags, 95)) if self._lags else None
            lag = WatchLag(
                now=round(now, 3),
                last=None if self._last_lag is None else round(self._last_lag, 3),
                p95=None if p95 is None else round(p95, 3),
            )
            files = tuple(_watched(file) for file in reversed(self._recent.values()))
            return self._status.model_copy(update={"updated_at": _now(), "lag": lag, "files": files})

    def _update(self, **fields: object) -> None:
        with self._lock:
            self._status = self._status.model_copy(update=fields)


class StatusFile:
    """Writes the status to a file, every second and at the end; a context manager."""

    def __init__(self, path: Path, status: Callable[[], WatchStatus]) -> None:
        """Raises `InputError` where no file can be written."""
        self._path = path
        self._status = status
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rise-store-status", daemon=True)
        self._write()

    def __enter__(self) -> StatusFile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(InputError):
            self._write()

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            with suppress(InputError):  # a full disk must not end the watch
                self._write()

    def _write(self) -> None:
        with whole_file(self._path) as draft:
            draft.write_text(self._status().model_dump_json(indent=2) + "\n", encoding="utf-8")


def _watched(file: Followed) -> WatchedFile:
    position = file.position
    return WatchedFile(
        name=file.name,
        size=file.seen.size if file.seen else 0,
        offset=position.offset if position else 0,
        rows=position.row if position else 0,
        error=file.error,
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
