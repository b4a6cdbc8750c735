"""Files that survive a killed process and a cut of power, and the free space under the store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rise_store.errors import StoreFullError

MIB = 2**20


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: readers see the old bytes or the new ones, also after a crash."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the file system write `path`, a file or the entries of a folder, to the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders; NTFS journals their entries
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """`sync` every file and folder below `folder`, and itself."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def size_bytes(folder: Path) -> int:
    """Bytes that the files below `folder` take on disk; holes in sparse files count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.stat(os.path.join(parent, name))
            except FileNotFoundError:  # the engine deletes files of merged segments
                continue
            total += status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
    return total


def free_bytes(folder: Path) -> int:
    """Bytes that an unprivileged user can still write under `folder`."""
    return shutil.disk_usage(folder).free


def require_free(folder: Path, needed: int, doing: str, location: str) -> None:
    """`StoreFullError` unless `needed` bytes are free under `folder`.

    The engine writes through memory maps of sparse files: on a full disk it gets no error but a SIGBUS, which kills
    the process (qdrant-edge-py 0.9.0 on tmpfs). So the space is checked before each call that may need some.
    """
    free = free_bytes(folder)
    if free < needed:
        raise StoreFullError(
            f"the disk under the store at {location} is too full to {doing}: {needed / MIB:,.0f} MiB must be free, "
            f"{free / MIB:,.0f} MiB are. Everything that was acknowledged is kept. Free some space and run the same "
            "command again: it resumes where it stopped"
        )
