"""What is seen of a file from outside, and how its bytes are reached."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from rise_store.errors import InputError

SAMPLE_BYTES = 1024  # at the head, and again in front of the offset


@dataclass(frozen=True, slots=True)
class Seen:
    """A file at one moment; `inode` tells it from another of the same name, where there are such things."""

    name: str
    size: int
    changed: str  # time of its last change as its file system tells it, or an ETag; only ever compared
    inode: str | None = None
    age_s: float | None = field(default=None, compare=False)  # by two clocks, which may disagree


def is_address(name: str) -> bool:
    """Whether it is for fsspec, as in s3://bucket/key, rather than a path."""
    return "://" in name


def see(name: str, now: float) -> Seen | None:
    """The file as it is; None where there is none, or something else.

    Args:
        name: path or address.
        now: the time, as time.time() gives it.
    """
    if is_address(name):
        try:
            return seen_by_fsspec(name, file_system(name).info(name))
        except FileNotFoundError:
            return None
    try:
        return seen_by_stat(name, os.stat(name), now)
    except (FileNotFoundError, NotADirectoryError):
        return None


def seen_by_stat(name: str, status: os.stat_result, now: float) -> Seen | None:
    """The same from what `os.stat` says."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return Seen(
        name, status.st_size, str(status.st_mtime_ns), f"{status.st_dev}:{status.st_ino}", now - status.st_mtime
    )


def seen_by_fsspec(name: str, info: dict[str, Any]) -> Seen | None:
    """The same from what an fsspec file system says."""
    if info.get("type") != "file":
        return None
    changed = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified", "created") if info.get(key)), "")
    return Seen(name, int(info.get("size") or 0), str(changed))


def file_system(address: str) -> Any:
    """The fsspec file system of an address.

    Raises:
        InputError: none is known or installed.
    """
    import fsspec

    try:
        system, _ = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise InputError(f"{address}: {error}") from None
    system.invalidate_cache()
    return system


def open_bytes(name: str) -> BinaryIO:
    """The file for reading."""
    if is_address(name):
        return cast(BinaryIO, file_system(name).open(name, "rb"))
    return open(name, "rb")


def sample_digest(file: BinaryIO, offset: int) -> str:
    """SHA-256 of the head of a file and of what stands in front of `offset`: tells whether it was only appended to."""
    head = min(offset, SAMPLE_BYTES)
    file.seek(0)
    digest = hashlib.sha256(file.read(head))
    file.seek(offset - head)
    digest.update(file.read(head))
    return digest.hexdigest()
