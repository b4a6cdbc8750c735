"""A file that was opened already, as a place to read from: whatever becomes of its name, it stays the same file."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from rise_store.corpus.locations import path_problem

_PIECE = 1 << 20


class OpenFile:
    """An open file. A `Location`."""

    is_rereadable = True

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = os.fsencode(name).decode("utf-8", "replace")
        self.filename = name.replace("\\", "/").rpartition("/")[2]
        self._file = file

    @property
    def size(self) -> int | None:
        """Its size at this moment."""
        before = self._file.tell()
        try:
            return self._file.seek(0, os.SEEK_END)
        finally:
            self._file.seek(before)

    def open(self) -> AbstractContextManager[BinaryIO]:
        """From its beginning; left open behind the reader."""
        self._file.seek(0)
        return nullcontext(self._file)

    def version(self) -> object:
        """Its size."""
        return self.size

    def known_sha256(self) -> str | None:
        """Nobody knows it."""
        return None

    def is_cheap_to_read(self) -> bool:
        """Its head, which tells whether it is compressed."""
        return True

    def explained(self, error: Exception) -> Exception:
        """An `OSError` as an `InputError`."""
        return path_problem(self.name, error) if isinstance(error, OSError) else error


def has_newline(file: BinaryIO, start: int) -> bool:
    """Whether a line ends behind `start`."""
    file.seek(start)
    while piece := file.read(_PIECE):
        if b"\n" in piece:
            return True
    return False
