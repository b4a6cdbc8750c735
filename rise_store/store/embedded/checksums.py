"""Checksums of the files of a space: what changed since the last clean close, by other hands than ours.

The engine has no checksums, and damaged files can make it panic, or answer wrongly in silence. So a clean close writes
down the size, the time of change and a digest of each file (`checksums.json`). While the space is open, and after a
process that died, the file is called `checksums.stale.json`: even loading a shard changes files (qdrant-edge-py 0.9.0).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import orjson

from rise_store.errors import StoreError
from rise_store.store.embedded.disk import sync, write_atomically
from rise_store.store.embedded.sparse import data_sha256

_NAME, _STALE_NAME = "checksums.json", "checksums.stale.json"
REMEDY = "Restore the store from a snapshot or a copy, or ingest into a new one; `rise-store verify` lists all damage"


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file at a clean close."""

    bytes: int
    mtime_ns: int
    data_sha256: str  # see sparse.data_sha256

    def looks_same(self, status: os.stat_result) -> bool:
        """Whether size and time of change are as they were."""
        return (self.bytes, self.mtime_ns) == (status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that is not what it was."""

    path: Path
    problem: str  # "is damaged: ...", "is missing: ..."


class Checksums:
    """The checksums of the space in `folder`; `StoreError` when they cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.clean = (folder / _NAME).exists()  # whether nothing opened the space since they were written
        self.sums: dict[str, FileSum] = _read(folder / (_NAME if self.clean else _STALE_NAME))

    def begin(self) -> None:
        """Call before the engine touches a file: `StoreError`, naming the file, when one changed since a clean close.

        Costs a stat a file; only files that look changed, as in a copied store, are read.
        """
        if not self.clean:
            return
        for path, expected in self.sums.items():
            problem = _compare(self._folder / path, expected, thorough=False)
            if problem:
                raise StoreError(f"{problem.path} {problem.problem}. {REMEDY}")
        os.replace(self._folder / _NAME, self._folder / _STALE_NAME)
        sync(self._folder)

    def finish(self) -> None:
        """Call after a clean close: digests what changed, and writes all checksums down."""
        trusted = self.sums if maps_change_times(self._folder) else {}
        sums = {}
        for path in files_of(self._folder):
            status = (self._folder / path).stat()
            known = trusted.get(path)
            if known is None or not known.looks_same(status):
                known = FileSum(status.st_size, status.st_mtime_ns, data_sha256(self._folder / path))
            sums[path] = known
        write_atomically(self._folder / _NAME, orjson.dumps({"files": sums}))
        for leftover in (self._folder / _STALE_NAME, *self._folder.glob("checksums.*.tmp")):
            leftover.unlink(missing_ok=True)

    def problems(self, progress: Callable[[int], None] = lambda count: None) -> Iterator[FileProblem]:
        """Every file that is not what it was, by its content; `progress` is told of each file.

        After a process that died, only files can be judged that nobody wrote to since, by their times.
        """
        judge_by_times = not self.clean
        if judge_by_times and not maps_change_times(self._folder):
            return
        for path, expected in self.sums.items():
            progress(1)
            file = self._folder / path
            if judge_by_times and not (file.exists() and expected.looks_same(file.stat())):
                continue
            problem = _compare(file, expected, thorough=True)
            if problem:
                yield problem

    def unknown(self) -> list[str]:
        """Files that were not there at a clean close, if it was the last to touch the folder."""
        return sorted(set(files_of(self._folder)) - set(self.sums)) if self.clean else []


def files_of(folder: Path) -> Iterator[str]:
    """Paths, relative to `folder`, of all files of a space but the checksums themselves."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name).relative_to(folder).as_posix()
            if not path.startswith("checksums."):
                yield path


def maps_change_times(folder: Path) -> bool:
    """Whether the file system notes the time of writes through memory maps, which are how the engine writes.

    tmpfs does not, for pages that were read before.
    """
    probe = folder / f"checksums.{uuid4().hex}.tmp"
    try:
        probe.write_bytes(bytes(mmap.PAGESIZE))
        os.utime(probe, ns=(0, 0))
        with probe.open("r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as memory:
            memory[0] = memory[0] + 1
            memory.flush()
        return probe.stat().st_mtime_ns != 0
    finally:
        probe.unlink(missing_ok=True)


def _compare(path: Path, expected: FileSum, *, thorough: bool) -> FileProblem | None:
    try:
        status = path.stat()
        if not thorough and expected.looks_same(status):
            return None
        if status.st_size != expected.bytes:
            return FileProblem(path, f"is damaged: it has {status.st_size:,} bytes instead of {expected.bytes:,}")
        if data_sha256(path) != expected.data_sha256:
            return FileProblem(path, "is damaged: its content changed since the store was closed")
    except FileNotFoundError:
        return FileProblem(path, "is missing: it was there when the store was closed")
    except OSError as error:
        return FileProblem(path, f"cannot be read: {error.strerror or error}")
    return None


def _read(path: Path) -> dict[str, FileSum]:
    try:
        files = orjson.loads(path.read_bytes())["files"]
        return {name: FileSum(**fields) for name, fields in files.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}. If no other file is, the store works without it: move it away, then run "
            "`rise-store verify`"
        ) from error
