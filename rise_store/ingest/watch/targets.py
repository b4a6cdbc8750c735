"""What a watch looks at: a file, a folder, a glob, or an address of fsspec."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rise_store.errors import InputError
from rise_store.ingest.watch.seen import Seen, file_system, is_address, see, seen_by_fsspec, seen_by_stat

Wanted = Callable[[str], bool]  # whether a file of a folder is of a format that is read


class Target(Protocol):
    """One of the things that a watch looks at."""

    source: str  # as the user gave it

    def look(self) -> dict[str, Seen] | None:
        """Its files at this moment, by name; None where it cannot be looked at, as a share that is not mounted."""
        ...

    def holds(self, name: str) -> bool:
        """Whether a local path is one of its files."""
        ...

    def folders(self) -> list[tuple[Path, bool]]:
        """Local folders to be told of changes in, and whether in those below too."""
        ...


def make_target(source: str, wanted: Wanted) -> Target:
    """The target that a user's word stands for.

    Raises:
        InputError: a folder that is not there, or an address that no installed package reads.
    """
    if is_address(source):
        file_system(source)
        return AddressTarget(source, wanted)
    if glob.has_magic(source) and not os.path.lexists(source):
        target: Target = GlobTarget(os.path.abspath(source), source)
    elif os.path.isdir(source):
        target = FolderTarget(os.path.abspath(source), source, wanted)
    else:
        target = FileTarget(os.path.abspath(source), source)
    for folder, _ in target.folders():
        if not folder.is_dir():
            raise InputError(f"{source}: there is no folder {folder}; make it first, or check the path")
    return target


@dataclass
class FileTarget:
    """One file, which need not be there yet."""

    path: str
    source: str

    def look(self) -> dict[str, Seen] | None:
        """See `Target.look`."""
        if not os.path.isdir(os.path.dirname(self.path)):
            return None
        seen = see(self.path, time.time())
        return {} if seen is None else {self.path: seen}

    def holds(self, name: str) -> bool:
        """See `Target.holds`."""
        return name == self.path

    def folders(self) -> list[tuple[Path, bool]]:
        """See `Target.folders`."""
        return [(Path(self.path).parent, False)]


@dataclass
class FolderTarget:
    """The files of known formats in a folder and those below it; hidden ones are left out."""

    path: str
    source: str
    wanted: Wanted

    def look(self) -> dict[str, Seen] | None:
        """See `Target.look`."""
        if not os.path.isdir(self.path):
            return None
        return dict(sorted((seen.name, seen) for seen in self._walk(self.path, time.time())))

    def holds(self, name: str) -> bool:
        """See `Target.holds`."""
        below = os.path.relpath(name, self.path)
        return not any(part.startswith(".") for part in Path(below).parts) and self.wanted(os.path.basename(name))

    def folders(self) -> list[tuple[Path, bool]]:
        """See `Target.folders`."""
        return [(Path(self.path), True)]

    def _walk(self, folder: str, now: float) -> Iterator[Seen]:
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path, now)
                elif self.wanted(entry.name):
                    seen = seen_by_stat(entry.path, entry.stat(), now)
                    if seen is not None:
                        yield seen
            except FileNotFoundError:
                continue


@dataclass
class GlobTarget:
    """The files whose paths match a pattern, of whatever name; `**` goes through folders."""

    pattern: str
    source: str

    def look(self) -> dict[str, Seen] | None:
        """See `Target.look`."""
        if not self._base.is_dir():
            return None
        now = time.time()
        found = (see(path, now) for path in sorted(glob.glob(self.pattern, recursive=True)))
        return {seen.name: seen for seen in found if seen is not None}

    def holds(self, name: str) -> bool:
        """See `Target.holds`."""
        return name in glob.glob(self.pattern, recursive=True)

    def folders(self) -> list[tuple[Path, bool]]:
        """See `Target.folders`."""
        return [(self._base, glob.has_magic(os.path.dirname(self.pattern)))]

    @property
    def _base(self) -> Path:
        base = Path(self.pattern).parent
        while glob.has_magic(str(base)):
            base = base.parent
        return base


@dataclass
class AddressTarget:
    """A file, the files of known formats below a folder, or a glob, in any file system of fsspec; polled."""

    source: str
    wanted: Wanted
    _protocol: str = field(init=False)

    def __post_init__(self) -> None:
        self._protocol = self.source.partition("://")[0]

    def look(self) -> dict[str, Seen] | None:
        """See `Target.look`; raises what the file system raises."""
        system = file_system(self.source)
        if glob.has_magic(self.source):
            found = system.glob(self.source, detail=True)
        elif system.isdir(self.source):
            found = {
                path: info
                for path, info in system.find(self.source, detail=True).items()
                if self.wanted(path.rpartition("/")[2])
            }
        elif system.exists(self.source):
            found = {self.source: system.info(self.source)}
        else:
            return {}
        names = {self._address(path): info for path, info in sorted(found.items())}
        files = {name: seen_by_fsspec(name, info) for name, info in names.items()}
        return {name: seen for name, seen in files.items() if seen is not None}

    def holds(self, name: str) -> bool:
        """See `Target.holds`."""
        return False

    def folders(self) -> list[tuple[Path, bool]]:
        """See `Target.folders`."""
        return []

    def _address(self, path: str) -> str:
        return path if is_address(path) else f"{self._protocol}://{path}"
