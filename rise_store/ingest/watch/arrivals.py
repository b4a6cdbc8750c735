"""Being told by the system which files change."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rise_store.corpus.locations import path_name
from rise_store.errors import InputError

_STEP_MS = 50
_DEBOUNCE_MS = 100


class Arrivals:
    """Names of changed files, with the time at which that was noticed; what else wakes the watch is `event`."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.failure: str | None = None  # why the system tells nothing
        self._lock = threading.Lock()
        self._changed: dict[str, float] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, folders: Iterable[tuple[Path, bool]]) -> None:
        """Be told of changes in folders, and in those below where the second value is true.

        Raises:
            InputError: the package watchfiles is not installed.
        """
        wanted = set(folders)
        if not wanted:
            return
        try:
            import watchfiles
        except ImportError:
            raise InputError(
                "watching files needs the package watchfiles: pip install 'rise-store[watch]', or look every so many "
                "seconds with --poll"
            ) from None
        for recursive in (True, False):
            paths = sorted({str(folder) for folder, deep in wanted if deep is recursive})
            if paths:
                arguments = (watchfiles.watch, paths, recursive)
                thread = threading.Thread(target=self._listen, args=arguments, name="rise-store-watch", daemon=True)
                thread.start()
                self._threads.append(thread)

    def take(self) -> dict[str, float]:
        """What has changed since the last call, with the time of the first notice."""
        with self._lock:
            changed, self._changed = self._changed, {}
        self.event.clear()
        return changed

    def stop(self) -> None:
        """Listen no longer."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2)

    def _listen(self, watch: Any, paths: list[str], recursive: bool) -> None:
        try:
            for changes in watch(
                *paths,
                watch_filter=None,
                step=_STEP_MS,
                debounce=_DEBOUNCE_MS,
                rust_timeout=500,
                stop_event=self._stop,
                raise_interrupt=False,
                recursive=recursive,
                ignore_permission_denied=True,
            ):
                now = time.monotonic()
                with self._lock:
                    for _, name in changes:
                        self._changed.setdefault(path_name(os.path.abspath(name)), now)
                self.event.set()
        except Exception as error:  # such as the system's limit of watched folders
            self.failure = " ".join(str(error).split()) or type(error).__name__
            self.event.set()
