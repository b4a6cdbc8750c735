"""One process at a time per store: a lock that the kernel frees when its owner ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from rise_store.errors import StoreError, StoreInUseError


class StoreLock:
    """The lock of the store whose folder is `folder`, taken on creation; `StoreInUseError` when it is held."""

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        # It takes filelock 4: with 3.29, whoever found the lock held emptied the file, and a forked child that closed
        # its copy freed the lock of its parent.
        self._lock = FileLock(path, thread_local=False, is_singleton=False)
        try:
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise StoreInUseError(_in_use(folder, path)) from error
        except OSError as error:
            raise StoreError(f"cannot lock the store at {folder}: {error}. Check the folder's permissions") from error
        with contextlib.suppress(OSError):  # Windows lets nobody write a locked file; the lock holds all the same
            path.write_text(f"{os.getpid()}\n")

    def release(self) -> None:
        """Free the lock; releasing twice is fine."""
        self._lock.release(force=True)


def _in_use(folder: Path, path: Path) -> str:
    holder = ""
    with contextlib.suppress(OSError):
        holder = path.read_text(errors="replace").strip()
    if holder == str(os.getpid()):
        return f"the store at {folder} is already open in this process ({holder}). Use that one, or close it first"
    who = f"process {holder}" if holder.isdigit() else "another process"
    return f"the store at {folder} is in use by {who}. Wait until it ends, or stop it, then try again"
