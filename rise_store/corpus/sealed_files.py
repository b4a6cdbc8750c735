"""Files as a manifest describes them, and whether they are still so when they were read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rise_store.errors import InputError

_State = tuple[tuple[int, int], ...]  # size and time of change of each file


class SealedFiles:
    """One file, or the files of a folder."""

    def __init__(self, name: str, paths: Sequence[Path], folder: Path | None = None) -> None:
        """`folder` is what the paths of several files are told from; `name` is for messages."""
        self._name = name
        self._paths = paths
        self._folder = folder
        self._sealed: tuple[_State, str] | None = None

    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self._state())

    def seal(self) -> str:
        """SHA-256 of the file; of a folder, that of its lines `sha256  path`, sorted. `check` compares with it."""
        before = self._state()
        digest = self._digest()
        self._sealed = (before, digest)
        return digest

    def check(self) -> None:
        """Refuse files that are not what they were when they were sealed; nothing where they were not.

        Raises:
            InputError: they have changed, or are gone.
        """
        if self._sealed is None:
            return
        state, digest = self._sealed
        if self._state() != state and self._digest() != digest:
            raise InputError(f"{self._name}: has changed while it was read; run the same command again")

    def _state(self) -> _State:
        try:
            stats = [path.stat() for path in self._paths]
        except OSError as error:
            raise InputError(f"{self._name}: cannot be read: {error.strerror or error}") from None
        return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)

    def _digest(self) -> str:
        try:
            digests = {path: _sha256(path) for path in self._paths}
        except OSError as error:
            raise InputError(f"{self._name}: cannot be read: {error.strerror or error}") from None
        if self._folder is None:
            return next(iter(digests.values()))
        lines = sorted(f"{digest}  {path.relative_to(self._folder).as_posix()}\n" for path, digest in digests.items())
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
