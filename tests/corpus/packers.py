"""What the tests of readers share: every compression, and rows as they come out."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import zstandard

from rise_store.corpus import RawRow, RejectedRow

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def fields(rows: Iterable[RawRow | RejectedRow]) -> list[Any]:
    """The fields of every row; for a rejected one its reason."""
    read = []
    for row in rows:
        if isinstance(row, RejectedRow):
            assert row.reason.startswith(f"{row.location}: ")
            assert "\n" not in row.reason
            read.append(row.reason)
        else:
            read.append(row.fields)
    return read
