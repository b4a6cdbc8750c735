"""What is seen of a file from outside, and how its bytes are reached."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from rise_store.corpus.locations import path_name
from rise_store.corpus.remote import explained, is_remote, open_filesystem

SAMPLE_BYTES = 1024  # at the head, and again in front of the offset
_VERSION_FIELDS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "created", "blob_id")


@dataclass(frozen=True, slots=True)
class Seen:
    """A file at one moment; `inode` tells it from another of the same name, where there are such things."""

    name: str  # without secrets, in UTF-8
    size: int
    changed: str  # when or how it changed last, as its file system tells it; only ever compared
    inode: str | None = None
    age_s: float | None = field(default=None, compare=False)  # of that change, by two clocks, which may disagree
    address: str = ""  # what opens it
    relative: str = ""  # its path within the folder or pattern that it was found by


def see(path: str, now: float, relative: str = "") -> Seen | None:
    """The file at a local path; None where there is none, or something else.

    Args:
        path: where.
        now: the time, as time.time() gives it.
        relative: its path within the folder that is looked at.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        return seen_by_stat(path, os.stat(path), now, relative)
    except (FileNotFoundError, NotADirectoryError):
        return None


def seen_by_stat(path: str, status: os.stat_result, now: float, relative: str = "") -> Seen | None:
    """The same from what `os.stat` says."""
    if not stat.S_ISREG(status.st_mode):
        return None
    changed, inode = str(status.st_mtime_ns), f"{status.st_dev}:{status.st_ino}"
    return Seen(path_name(path), status.st_size, changed, inode, now - status.st_mtime, path, relative)


def seen_by_info(name: str, address: str, info: Mapping[str, Any], relative: str) -> Seen | None:
    """The same from what a file system of fsspec says."""
    if info.get("type") != "file":
        return None
    changed = next((info[key] for key in _VERSION_FIELDS if info.get(key)), "")
    return Seen(name, int(info.get("size") or 0), str(changed), address=address, relative=relative)


def open_bytes(address: str) -> BinaryIO:
    """The file for reading, from any place in it.

    Raises:
        InputError, OSError: it cannot be opened.
    """
    if is_remote(address):
        filesystem, path = open_filesystem(address)
        with explained(address):
            filesystem.invalidate_cache()
            return cast(BinaryIO, filesystem.open(path, "rb"))
    return open(address, "rb")


def inode_of(file: BinaryIO) -> str | None:
    """The inode of an open file; None where it is none of this machine."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return None
    return f"{status.st_dev}:{status.st_ino}"


def sample_digest(file: BinaryIO, offset: int) -> str:
    """SHA-256 of the head of a file and of what stands in front of `offset`: tells whether it was only appended to.

    Whoever reads from the file goes on where he was.
    """
    length = min(offset, SAMPLE_BYTES)
    before = file.tell()
    file.seek(0)
    digest = hashlib.sha256(file.read(length))
    file.seek(offset - length)
    digest.update(file.read(length))
    file.seek(before)
    return digest.hexdigest()
