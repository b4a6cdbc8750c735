"""Where bytes lie: local files, standard input, and any address that fsspec knows."""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

from rise_store.corpus.remote import RemoteFile, is_remote, local_path, public_address
from rise_store.errors import InputError, UnreadableError

STDIN = "-"


class Location(Protocol):
    """Something that can be opened for reading, as often as one likes where `is_rereadable`."""

    name: str  # for messages and provenance: a path, or an address without secrets
    filename: str  # its last part, which tells format and compression
    is_rereadable: bool  # opening it again gives the same bytes from their beginning

    @property
    def size(self) -> int | None:
        """Bytes as it lies there, compressed as it is; None where unknown."""
        ...

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Raises `InputError` when it cannot be opened."""
        ...

    def version(self) -> object:
        """Something that changes with the content at the latest when its size or time of change does."""
        ...

    def known_sha256(self) -> str | None:
        """The SHA-256 of the content where whoever keeps it tells that without reading it."""
        ...

    def is_cheap_to_read(self) -> bool:
        """Whether a pass over it is no waste: it is local, or small."""
        ...

    def explained(self, error: Exception) -> Exception:
        """The `InputError` that says what went wrong here; `error` itself where it is none of reading."""
        ...


def locate(name: str | os.PathLike[str]) -> Location:
    """The location that a name stands for: `-`, an address (`s3://...`), or a path.

    Raises:
        InputError: there is nothing, it is a folder, or a package is missing that its protocol needs.
    """
    if os.fspath(name) == STDIN:
        return StandardInput()
    if isinstance(name, str):
        if is_remote(name):
            return RemoteFile.at(name)
        name = local_path(name)
    return LocalFile(name)


def public_name(name: str | os.PathLike[str]) -> str:
    """What a name is called in messages: without secrets."""
    if os.fspath(name) == STDIN:
        return StandardInput.name
    return public_address(name) if isinstance(name, str) and is_remote(name) else path_name(name)


def path_name(path: str | os.PathLike[str]) -> str:
    """A path for messages: a file name need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def path_problem(path: str | os.PathLike[str], error: OSError) -> UnreadableError:
    """What an `OSError` says about a path."""
    if isinstance(error, FileNotFoundError):
        return UnreadableError(f"{path_name(path)}: no such file; check the path")
    return UnreadableError(f"{path_name(path)}: cannot be read: {error.strerror or error}")


class LocalFile:
    """A file, or something like it: a pipe is opened once, when it is read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises `InputError` for what is no file."""
        self._path = Path(path)
        self.name = path_name(self._path)
        self.filename = self._path.name
        if "\0" in os.fspath(self._path):
            raise InputError(f"{self.name!r}: is no path, since it holds a null character; check the path")
        try:
            status = self._path.stat()
        except OSError as error:
            raise path_problem(self._path, error) from None
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{self.name}: is a folder; name the files in it")
        self.is_rereadable = stat.S_ISREG(status.st_mode)

    @property
    def size(self) -> int | None:
        """Its size at this moment; None for a pipe."""
        return self._status().st_size if self.is_rereadable else None

    def open(self) -> BinaryIO:
        """Opens it; a pipe waits for its writer."""
        try:
            return self._path.open("rb")
        except OSError as error:
            raise path_problem(self._path, error) from None

    def version(self) -> object:
        """Size and times of change."""
        status = self._status()
        return status.st_size, status.st_mtime_ns, status.st_ino

    def known_sha256(self) -> str | None:
        """Nobody knows it."""
        return None

    def is_cheap_to_read(self) -> bool:
        """Always."""
        return True

    def explained(self, error: Exception) -> Exception:
        """An `OSError` as an `InputError`."""
        return path_problem(self._path, error) if isinstance(error, OSError) else error

    def _status(self) -> os.stat_result:
        try:
            return self._path.stat()
        except OSError as error:
            raise path_problem(self._path, error) from None


class StandardInput:
    """The standard input of the process, which can be read once."""

    name = "<stdin>"
    filename = ""
    is_rereadable = False
    size = None

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Left open behind the reader: it is the process's, not ours."""
        # With a buffer of our own where there is a file below: the interpreter cannot end while a thread that waits for
        # input holds the lock of the buffer that is its own.
        buffer = sys.stdin.buffer
        if isinstance(getattr(buffer, "raw", None), io.FileIO):
            return open(buffer.fileno(), "rb", closefd=False)
        return nullcontext(buffer)

    def version(self) -> object:
        """Always the same."""
        return None

    def known_sha256(self) -> str | None:
        """Nobody knows it."""
        return None

    def is_cheap_to_read(self) -> bool:
        """What was read is gone."""
        return False

    def explained(self, error: Exception) -> Exception:
        """An `OSError` as an `InputError`."""
        return path_problem(self.name, error) if isinstance(error, OSError) else error
