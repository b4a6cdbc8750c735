"""Compressed bytes: which compression it is, and the stream of what was compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from typing import Literal, cast

from rise_store.corpus.zstandard_stream import ZstandardDataError, ZstandardStream, require_zstandard

Compression = Literal["none", "gzip", "bzip2", "xz", "zstd"]

HEAD_BYTES = 10
"""How many bytes of the beginning `compression_of` wants."""

_SUFFIXES: dict[str, Compression] = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
_MAGIC: dict[Compression, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),  # the first three alone may begin a text
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
_BUFFER = 1 << 20

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, ZstandardDataError)
"""What reading damaged data raises; `EOFError` for data that ends too early, and bz2 an `OSError` without a number."""


def split_compression(filename: str) -> tuple[str, Compression]:
    """A file name without its suffix of compression, and the compression: `a.csv.gz` -> `a.csv`, gzip."""
    for suffix, compression in _SUFFIXES.items():
        if filename.lower().endswith(suffix):
            return filename[: -len(suffix)], compression
    return filename, "none"


def compression_of(filename: str, head: bytes) -> Compression:
    """Told by the suffix, else by the first bytes."""
    by_name = split_compression(filename)[1]
    if by_name != "none":
        return by_name
    return next((compression for compression, magic in _MAGIC.items() if magic.match(head)), "none")


def decompressed(stream: io.BufferedReader, compression: Compression, name: str) -> io.BufferedIOBase:
    """What `stream` holds, over all of its parts; closing it leaves `stream` open. Reading may raise `DAMAGE`."""
    if compression == "gzip":
        return cast(io.BufferedIOBase, gzip.GzipFile(fileobj=stream))
    if compression == "bzip2":
        return bz2.BZ2File(stream)
    if compression == "xz":
        return lzma.LZMAFile(stream)
    if compression == "zstd":
        return io.BufferedReader(ZstandardStream(stream, name), _BUFFER)
    return stream


def require_package(compression: Compression, name: str) -> None:
    """Raises `InputError` when the package is missing that reads the file `name`."""
    if compression == "zstd":
        require_zstandard(name)
