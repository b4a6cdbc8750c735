"""The lines of a file or of standard input, plain or compressed, in constant memory."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from rise_store.corpus.zstandard_stream import ZstandardDataError, ZstandardStream, require_zstandard
from rise_store.errors import InputError

MAX_LINE_BYTES = 64 << 20
"""Longest line that is read, bytes without its newline; a longer one is skipped and reported."""

STDIN = "-"

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Line = bytes | bytearray

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20  # bytes of a long line that are read at a time


class LineSource:
    """Iterates over the lines of one file; `-` is standard input.

    Compression is told by the suffix `.gz` or `.zst`, else by the first bytes. A line longer than `max_line_bytes`
    comes as None: no more than the limit is ever held. `total_bytes` is the size of the file as it lies on disk, and
    None where that is unknown; `bytes_read` says how much of it was read. Raises `InputError` at once for a file
    that cannot be opened, and while iterating for one that is damaged or cannot be read on.
    """

    def __init__(self, path: str | os.PathLike[str], max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._path = Path(path)
        self._is_stdin = os.fspath(path) == STDIN
        self._counter: _Counter | None = None
        self.max_line_bytes = max_line_bytes
        # a file name need not be UTF-8; messages are
        self.name = "<stdin>" if self._is_stdin else os.fsencode(self._path).decode("utf-8", "replace")
        self.total_bytes: int | None = None
        if not self._is_stdin:
            self._check()

    @property
    def bytes_read(self) -> int:
        """Bytes of the file, compressed as it is, that were read so far."""
        return self._counter.count if self._counter else 0

    def __iter__(self) -> Iterator[Line | None]:
        lines = 0
        with _explained(self.name), self._open() as raw:
            try:
                self._counter = _Counter(raw)
                for line in _bounded_lines(self._decompressed(self._counter), self.max_line_bytes):
                    lines += 1
                    yield line
            except EOFError:
                raise InputError(
                    f"{self.name}: the compressed data ends too early, after {lines:,} lines; get the file again"
                ) from None
            except (zlib.error, gzip.BadGzipFile, ZstandardDataError) as error:
                raise InputError(
                    f"{self.name}: the compressed data is damaged after {lines:,} lines ({error}); get the file again"
                ) from None

    def _check(self) -> None:
        if "\0" in os.fspath(self._path):
            raise InputError(f"{self.name!r}: is no path, since it holds a null character; check the path")
        with _explained(self.name):
            status = self._path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise InputError(f"{self.name}: is a folder; name the files in it")
            if stat.S_ISREG(status.st_mode):  # opening a pipe here would wait for its writer
                self.total_bytes = status.st_size
                with self._open() as file:
                    if self._compression(file.read(4)) == "zstd":
                        require_zstandard(self.name)

    def _open(self) -> AbstractContextManager[BinaryIO]:
        if self._is_stdin:
            # Left open: it is the process's, not ours. With a buffer of our own: the interpreter cannot end while a
            # thread that waits for input holds the lock of the one that is its own.
            buffer = sys.stdin.buffer
            if isinstance(getattr(buffer, "raw", None), io.FileIO):
                return open(buffer.fileno(), "rb", closefd=False)
            return nullcontext(buffer)
        return self._path.open("rb")

    def _compression(self, head: bytes) -> str:
        suffix = self._path.suffix.lower()
        if suffix == ".gz" or (suffix != ".zst" and head.startswith(_GZIP_MAGIC)):
            return "gzip"
        return "zstd" if suffix == ".zst" or head.startswith(_ZSTD_MAGIC) else "none"

    def _decompressed(self, counter: _Counter) -> _LineStream:
        # Pieces of a hundredth of the file, so that progress shows for small files too.
        piece = min(_PIECE, max(512, (self.total_bytes or _PIECE) // 100))
        stream = io.BufferedReader(counter, piece)
        head = stream.peek(4)[:4]
        compression = self._compression(head)
        if compression != "none" and not head:
            raise EOFError  # gzip would take an empty file for one without rows
        if compression == "gzip":
            return gzip.GzipFile(fileobj=stream)
        if compression == "zstd":
            return io.BufferedReader(ZstandardStream(stream, self.name), _PIECE)
        return stream


class _LineStream(Protocol):
    def readline(self, size: int, /) -> bytes: ...


class _Counter(io.RawIOBase):
    """Counts the bytes that pass."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        piece = self._source.read1(len(view))  # type: ignore[attr-defined]  # does not wait until the buffer is full
        view[: len(piece)] = piece
        self.count += len(piece)
        return len(piece)


def _bounded_lines(stream: _LineStream, limit: int) -> Iterator[Line | None]:
    """Lines as they are, newline included; None in place of a line of more than `limit` bytes."""
    while line := _longest_piece(stream, limit):
        if len(line) > limit and not line.endswith(b"\n"):
            while (piece := stream.readline(_PIECE)) and not piece.endswith(b"\n"):
                pass
            yield None
        else:
            yield line


def _longest_piece(stream: _LineStream, limit: int) -> Line:
    """The next line, cut off one byte past `limit`; empty at the end."""
    first = stream.readline(min(_PIECE, limit + 1))
    if first.endswith(b"\n"):
        return first
    line = bytearray(first)
    while len(line) <= limit and (piece := stream.readline(min(_PIECE, limit + 1 - len(line)))):
        line += piece
        if piece.endswith(b"\n"):
            break
    return line


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
