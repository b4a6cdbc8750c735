"""Zstandard data as a stream; needs the optional package `zstandard`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rise_store.errors import InputError

if TYPE_CHECKING:
    import zstandard
    from _typeshed import WriteableBuffer

# Compressed bytes that are fed at once: 4 bytes can stand for a block of 128 KiB, and so these for 8 MiB at most.
_FEED = 256


class ZstandardDataError(Exception):
    """The data is not valid Zstandard."""


def require_zstandard(name: str) -> None:
    """Raises `InputError` when the package that reads the file `name` is not installed."""
    try:
        import zstandard  # noqa: F401
    except ImportError:
        raise InputError(
            f"{name}: reading Zstandard files needs the package zstandard: pip install 'rise-store[zstd]'"
        ) from None


class ZstandardStream(io.RawIOBase):
    """The decompressed bytes of `source`, over all of its frames.

    Reading raises `ZstandardDataError` for damaged data and `EOFError` for data that ends within a frame, which
    zstandard's own reader takes for the end.
    """

    def __init__(self, source: io.BufferedIOBase, name: str) -> None:
        require_zstandard(name)
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = b""  # compressed bytes that lie beyond the last frame
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """True: what `io` asks of a stream that is read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills `buffer` with what comes next, at least one byte of it unless the data ends here."""
        while not self._ready and self._advance():
            pass
        view = memoryview(buffer)
        size = min(len(view), len(self._ready))
        view[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _advance(self) -> bool:
        """Decompresses some more; False at the end of the data."""
        import zstandard

        fed = self._rest or self._source.read1(_FEED)
        if not fed:
            if self._frame is not None:
                raise EOFError
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            self._ready = memoryview(self._frame.decompress(fed))
        except zstandard.ZstdError as error:
            raise ZstandardDataError(str(error)) from error
        self._rest = b""
        if self._frame.eof:
            self._rest = self._frame.unused_data
            self._frame = None
        return True
