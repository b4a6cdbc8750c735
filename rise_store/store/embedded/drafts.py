"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from rise_store.errors import StoreError
from rise_store.store.embedded.disk import sync, sync_tree

LOCK_NAME = ".draft-lock"


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """A folder beside `target` to build it in: it becomes `target` when the block ends, and vanishes when it raises.

    Drafts of `target` whose process died are removed. `StoreError` when `target` is there already and not empty.
    """
    target = target.absolute()
    check_vacant(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}.draft-"
    for leftover in target.parent.glob(f"{prefix}*"):
        _remove_dead(leftover)
    draft = target.parent / f"{prefix}{uuid4().hex}"
    draft.mkdir()
    lock = FileLock(draft / LOCK_NAME, thread_local=False, is_singleton=False)
    lock.acquire(blocking=False)
    try:
        yield draft
        sync_tree(draft)
        check_vacant(target)
        if target.exists():
            target.rmdir()
        if os.name == "nt":  # Windows renames no folder in which a file is open
            lock.release(force=True)
        # Locked until it has its name: without, another process takes the draft for a dead one's and removes it.
        os.rename(draft, target)
        (target / LOCK_NAME).unlink(missing_ok=True)
        lock.release(force=True)
        sync(target)
        sync(target.parent)
    except BaseException:
        lock.release(force=True)
        shutil.rmtree(draft, ignore_errors=True)
        raise


def check_vacant(target: Path) -> None:
    """`StoreError` unless `target` is an empty folder or nothing at all."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} exists and is not an empty folder. Name a new folder, or move it away first")


def _remove_dead(draft: Path) -> None:
    lock = FileLock(draft / LOCK_NAME, thread_local=False, is_singleton=False)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return  # its process is at work
    lock.release(force=True)
    shutil.rmtree(draft, ignore_errors=True)
