"""Files with holes: reading, digesting and copying only what is in them.

The engine makes large files of which it fills little: an empty segment has 52 MiB of them and takes 0.3 MiB on disk
(qdrant-edge-py 0.9.0).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

_CHUNK_BYTES = 2**20
_PAGE_BYTES = 4096
_ZEROS = bytes(_CHUNK_BYTES)


def data_runs(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The data of a file as (offset, bytes), in order: its pages of 4 KiB that are not all zero.

    Neighbouring pages come in one run, as far as they lie in the same MiB. What comes depends on the content alone,
    not on where the file system keeps holes.
    """
    size = os.fstat(file.fileno()).st_size
    position = 0
    while (position := _next_data(file, position)) < size:
        position -= position % _PAGE_BYTES
        end = _end_of_data(file, position, min(position - position % _CHUNK_BYTES + _CHUNK_BYTES, size))
        file.seek(position)
        chunk = file.read(end - position)
        if not chunk:  # another process cut the file short
            return
        for first, last in _filled(chunk):
            yield position + first, chunk[first:last]
        position = end


def data_sha256(path: Path) -> str:
    """SHA-256, hexadecimal, of a file's data: of each run its offset, its length and its bytes, then the file's size.

    Numbers are 8 bytes, little-endian. Unlike the SHA-256 of the whole file, it costs nothing for holes.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for offset, data in data_runs(file):
            digest.update(offset.to_bytes(8, "little") + len(data).to_bytes(8, "little"))
            digest.update(data)
        digest.update(os.fstat(file.fileno()).st_size.to_bytes(8, "little"))
    return digest.hexdigest()


def copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file with its holes and its time of change; its size in bytes and its SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    done = 0
    with source.open("rb") as file, target.open("wb") as copy:
        status = os.fstat(file.fileno())
        for offset, data in data_runs(file):
            _add_zeros(digest, offset - done)
            digest.update(data)
            done = offset + len(data)
            copy.seek(offset)
            copy.write(data)
        _add_zeros(digest, status.st_size - done)
        copy.truncate(status.st_size)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return status.st_size, digest.hexdigest()


def _next_data(file: BinaryIO, position: int) -> int:
    """Where the next data lies, at `position` or behind it; the end of the file where there is none."""
    if not hasattr(os, "SEEK_DATA"):
        return position
    try:
        return os.lseek(file.fileno(), position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return os.fstat(file.fileno()).st_size
        return position  # the file system knows no holes


def _end_of_data(file: BinaryIO, position: int, limit: int) -> int:
    """Where the pages with data that begin at `position` end, at `limit` at the latest."""
    if not hasattr(os, "SEEK_HOLE"):
        return limit
    end = position
    while end < limit and _next_data(file, end) < end + _PAGE_BYTES:  # holes may be smaller than a page
        try:
            hole = os.lseek(file.fileno(), max(end, _next_data(file, end)), os.SEEK_HOLE)
        except OSError:
            return limit
        end = -(-hole // _PAGE_BYTES) * _PAGE_BYTES
    return min(end, limit)


def _filled(chunk: bytes) -> list[tuple[int, int]]:
    """Runs of pages of `chunk` that are not all zero, as (first byte, end)."""
    whole = len(chunk) // _PAGE_BYTES * _PAGE_BYTES
    pages = np.frombuffer(chunk, np.uint64, whole // 8).reshape(-1, _PAGE_BYTES // 8)
    filled = np.append(pages.any(axis=1), any(chunk[whole:]))
    runs: list[tuple[int, int]] = []
    for number in np.flatnonzero(filled).tolist():
        first, last = number * _PAGE_BYTES, min((number + 1) * _PAGE_BYTES, len(chunk))
        if runs and runs[-1][1] == first:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return runs


def _add_zeros(digest: hashlib._Hash, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[: min(count, _CHUNK_BYTES)])
        count -= _CHUNK_BYTES
