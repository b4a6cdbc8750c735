"""What a watch looks at: a file, a folder, a pattern, or an address of fsspec."""

from __future__ import annotations

import fnmatch
import glob
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from rise_store.corpus.folders import expand
from rise_store.corpus.formats.hf_datasets import HUB_PREFIX, is_saved_dataset
from rise_store.corpus.locations import path_name
from rise_store.corpus.remote import explained, is_remote, local_path, open_filesystem, public_address
from rise_store.errors import InputError
from rise_store.ingest.watch.formats import Formats
from rise_store.ingest.watch.seen import Seen, see, seen_by_info


class Target(Protocol):
    """One of the things that a watch looks at."""

    source: str  # as the user gave it, without secrets
    is_polled: bool  # nobody tells of its changes
    unseen: set[str]  # names of files that are there, of which nothing could be told at the last look

    def is_absent(self) -> bool:
        """Whether it is the name of a file or folder that is not there; a pattern never is."""
        ...

    def look(self) -> dict[str, Seen] | None:
        """Its files at this moment, by name; None where it cannot be looked at, as a share that is not mounted.

        Raises:
            InputError: it cannot be read.
        """
        ...

    def may_hold(self, path: str) -> bool:
        """Whether a local path may be one of its files."""
        ...

    def folders(self) -> list[tuple[Path, bool]]:
        """Local folders to be told of changes in, and whether in those below too."""
        ...


def make_target(source: str, formats: Formats, ignored: Collection[str] = ()) -> Target:
    """The target that a user's word stands for; `ignored` are patterns of paths that are none of its files.

    Raises:
        InputError: a folder that is not there, something that cannot be watched, or an address that no installed
            package reads.
    """
    if source.startswith(HUB_PREFIX) or is_saved_dataset(source):
        raise InputError(f"{source}: a dataset of Hugging Face cannot be watched; ingest it")
    if is_remote(source):
        _, path = open_filesystem(source)
        if path and not path.endswith("/"):  # one that the file system passes over: it names the same folder
            source = source.rstrip("/")
        return AddressTarget(source, formats)
    if "\0" in source:
        raise InputError(f"{source!r}: is no path, since it holds a null character; check the path")
    target = LocalTarget(source, formats, ignored)
    if not target.folder.is_dir():
        raise InputError(f"{source}: there is no folder {target.folder}; make it first, or check the path")
    return target


class LocalTarget:
    """A file, which need not be there yet, or the files of known formats of a folder or pattern; hidden ones not."""

    is_polled = False

    def __init__(self, source: str, formats: Formats, ignored: Collection[str] = ()) -> None:
        self.source = path_name(source)
        self.unseen: set[str] = set()
        self._formats = formats
        self._ignored = ignored
        self._given = local_path(source)
        self._path = os.path.abspath(self._given)
        self._is_pattern = glob.has_magic(self._path) and not os.path.lexists(self._path)
        self._is_file = not self._is_pattern and not os.path.isdir(self._path)
        self.folder = Path(self._path)  # that holds what is looked at
        if self._is_file:
            self.folder = self.folder.parent
        while self._is_pattern and glob.has_magic(str(self.folder)):
            self.folder = self.folder.parent

    def is_absent(self) -> bool:
        """See `Target.is_absent`."""
        return self._is_file and not os.path.lexists(self._path)

    def look(self) -> dict[str, Seen] | None:
        """See `Target.look`."""
        if not self.folder.is_dir():
            return None
        self.unseen = set()
        now = time.time()
        if self._is_file:
            seen = self._see(self._path, now, path_name(self._given).removeprefix("./"))
            return {} if seen is None else {seen.name: seen}
        try:
            found = expand(self._path)
        except InputError:
            if not self._is_pattern:
                raise
            return {}
        files = [
            self._see(file.address, now, file.relative)
            for file in (found.files if found else ())
            if self._formats.format_of(file.relative) is not None and not self._is_ignored(file.address)
        ]
        return {seen.name: seen for seen in files if seen is not None}

    def may_hold(self, path: str) -> bool:
        """See `Target.may_hold`."""
        if self._is_file:
            return path == self._path
        below = os.path.relpath(path, self.folder).split(os.sep)
        if self._is_ignored(path):
            return False
        return not any(part.startswith(".") for part in below) and self._formats.format_of(below[-1]) is not None

    def folders(self) -> list[tuple[Path, bool]]:
        """See `Target.folders`."""
        deep = not self._is_file and (not self._is_pattern or Path(self._path).parent != self.folder)
        return [(self.folder, deep)]

    def _see(self, path: str, now: float, relative: str) -> Seen | None:
        try:
            return see(path, now, relative)
        except OSError:
            self.unseen.add(path_name(path))
            return None

    def _is_ignored(self, path: str) -> bool:
        return any(fnmatch.fnmatch(path, pattern) for pattern in self._ignored)


class AddressTarget:
    """A file, or the files of known formats below a folder or of a pattern, in a file system of fsspec."""

    is_polled = True

    def __init__(self, source: str, formats: Formats) -> None:
        self.source = public_address(source)
        self.unseen: set[str] = set()
        self._formats = formats
        self._address = source

    def is_absent(self) -> bool:
        """See `Target.is_absent`."""
        filesystem, path = open_filesystem(self._address)
        if _is_pattern(path):
            return False
        try:
            filesystem.info(path)
        except FileNotFoundError:
            return True
        except Exception:  # whatever a file system raises: the first look tells of it
            return False
        return False

    def look(self) -> dict[str, Seen] | None:
        """See `Target.look`."""
        filesystem, path = open_filesystem(self._address)
        with explained(self._address):
            filesystem.invalidate_cache()
            if _is_pattern(path):
                found = filesystem.glob(path, detail=True)
                root = glob.escape(path.split("*")[0].split("[")[0]).rpartition("/")[0]
            else:
                root = path
                try:
                    info = filesystem.info(path)
                except FileNotFoundError:
                    return {}
                if info.get("type") == "file":
                    seen = seen_by_info(self.source, self._address, info, self.source)
                    return {} if seen is None else {seen.name: seen}
                found = filesystem.find(path, detail=True)
        files: dict[str, Seen] = {}
        for file, info in sorted(found.items()):
            relative = file.removeprefix(root.rstrip("/")).lstrip("/")
            hidden = any(part.startswith(".") for part in relative.split("/"))
            if hidden or self._formats.format_of(relative) is None:
                continue
            # With what the file system was opened with, secrets included; never told.
            address = self._address.removesuffix(path) + file if self._address.endswith(path) else None
            address = address or str(filesystem.unstrip_protocol(file))
            seen = seen_by_info(public_address(address), address, info, relative)
            if seen is not None:
                files[seen.name] = seen
        return files

    def may_hold(self, path: str) -> bool:
        """See `Target.may_hold`."""
        return False

    def folders(self) -> list[tuple[Path, bool]]:
        """See `Target.folders`."""
        return []


def _is_pattern(path: str) -> bool:
    return "*" in path or "[" in path
