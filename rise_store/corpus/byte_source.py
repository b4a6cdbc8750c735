"""The bytes of one file as a stream: opened, decompressed, counted, and compared with what was promised of them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from rise_store.corpus.compression import DAMAGE, HEAD_BYTES, compression_of, decompressed, require_package
from rise_store.corpus.locations import LocalFile, Location, locate
from rise_store.errors import InputError
from rise_store.records import SourceManifest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Promise:
    """What a manifest said of the bytes."""

    sha256: str | None
    version: object


class ChangedError(InputError):
    """A file is not what the manifest says any more."""


class ByteSource:
    """What every reader of files opens: a path, an address that fsspec knows, or `-` for standard input.

    Compression (.gz, .zst, .bz2, .xz) is told by the suffix, else by the first bytes.
    """

    def __init__(self, name: str | os.PathLike[str] | Location) -> None:
        """Raises `InputError` for a file that cannot be opened, or whose compression needs a missing package."""
        self.location: Location = locate(name) if isinstance(name, str | os.PathLike) else name
        self.name = self.location.name
        self.total_bytes = self.location.size
        self._counter: _Counter | None = None
        self._promise: _Promise | None = None
        self.compression = compression_of(self.location.filename, b"")
        if self.compression == "none" and isinstance(self.location, LocalFile) and self.location.is_rereadable:
            with self.location.open() as file:
                self.compression = compression_of(self.location.filename, file.read(HEAD_BYTES))
        require_package(self.compression, self.name)

    @property
    def bytes_read(self) -> int:
        """Bytes of the file, compressed as it is, that were read so far."""
        return self._counter.count if self._counter else 0

    @contextmanager
    def reading(self, done: Callable[[], str], start: int = 0) -> Iterator[io.BufferedIOBase]:
        """The decompressed bytes from `start` on.

        Raises `InputError` for data that is damaged or cannot be read on, after what `done` says (`12 lines`), and,
        when all was read, for a file that is not what the last `manifest` said. Rows before it were good.
        """
        hasher = hashlib.sha256() if self._promise and self._promise.sha256 and not start else None
        with self.location.open() as raw:
            self._counter = _Counter(raw, self.location, hasher, start)
            # pieces of a hundredth of the file, so that progress shows for small files too
            stream: io.BufferedReader = io.BufferedReader(
                self._counter, min(_PIECE, max(512, (self.total_bytes or _PIECE) // 100))
            )
            try:
                yield self._decompressed(stream, start)
            except EOFError:
                raise InputError(
                    f"{self.name}: the compressed data ends too early, after {done()}; get the file again"
                ) from None
            except (*DAMAGE, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise self.location.explained(error) from None
                raise InputError(
                    f"{self.name}: the compressed data is damaged after {done()} ({error}); get the file again"
                ) from None
            if self._promise is not None and not start:
                while self._counter.read(_PIECE):  # what lies behind the end of compressed data
                    pass
                self._check(self._promise, hasher)

    def manifest(self, format: str) -> SourceManifest:
        """What the file is at this moment; a pass over it where that is cheap and nobody knows its SHA-256.

        Reading that begins after it checks in the end that it read just this.
        """
        if not self.location.is_rereadable:
            return SourceManifest(uri=self.name, format=format)
        version = self.location.version()
        sha256, size = self.location.known_sha256(), self.location.size
        if sha256 is None and self.location.is_cheap_to_read():
            sha256, size = self._hashed()
        self.total_bytes = size
        self._promise = _Promise(sha256, version)
        return SourceManifest(uri=self.name, format=format, bytes=size, sha256=sha256)

    def expect(self, sha256: str | None) -> None:
        """Have reading check in the end that it read just this; None says that there was nothing to read."""
        self._promise = _Promise(sha256 or "none", None)

    def _decompressed(self, stream: io.BufferedReader, start: int) -> io.BufferedIOBase:
        if start:
            return stream  # the beginning was seen to be plain, and the counter sought the place
        if self.compression == "none":
            head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
            self.compression = compression_of(self.location.filename, head)
            require_package(self.compression, self.name)
        if self.compression != "none" and not stream.peek(1):
            raise EOFError  # gzip would take an empty file for one without rows
        return decompressed(stream, self.compression, self.name)

    def _hashed(self) -> tuple[str, int]:
        hasher = hashlib.sha256()
        with self.location.open() as raw:
            counter = _Counter(raw, self.location, hasher)
            while counter.read(_PIECE):
                pass
        return hasher.hexdigest(), counter.count

    def _check(self, promise: _Promise, hasher: hashlib._Hash | None) -> None:
        if hasher is not None:
            is_same = hasher.hexdigest() == promise.sha256
        else:
            is_same = self.location.version() == promise.version
        if not is_same:
            raise ChangedError(
                f"{self.name}: changed while it was read; the rows before are stored: run the same command again"
            )


class _Counter(io.RawIOBase):
    """Counts, and hashes, the bytes that pass."""

    def __init__(
        self, source: BinaryIO, location: Location, hasher: hashlib._Hash | None = None, start: int = 0
    ) -> None:
        # gives what is there and does not wait until the buffer is full; not every file system can
        self._read: Callable[[int], bytes] = getattr(source, "read1", source.read)
        self._location = location
        self._hasher = hasher
        self.count = start
        if start:
            try:
                source.seek(start)
            except Exception as error:
                raise location.explained(error) from None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        try:
            piece = self._read(len(view))
        except Exception as error:
            raise self._location.explained(error) from None
        view[: len(piece)] = piece
        self.count += len(piece)
        if self._hasher is not None:
            self._hasher.update(piece)
        return len(piece)
