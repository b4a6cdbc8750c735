"""Which keys the files of a run have shown so far, and with what content."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import orjson

from rise_store.records import Example


class Sighting(NamedTuple):
    """Where a key stood before: file and line, and whether the example there was the same."""

    file: int
    line: int
    same: bool


class KeyIndex:
    """Remembers the key of every example together with its file, its line and a digest of what it says.

    Two integers of at most 120 bits a row, about 140 bytes with their place in the table: a corpus has millions of
    rows. 120 bits keep two keys apart at any such size; 80 bits suffice for two contents of one key.
    """

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}

    def add(self, example: Example, file: int, line: int) -> Sighting | None:
        """Remember an example of the numbered file unless its key is known; then where it stood, None otherwise."""
        key = _digest(example.key.encode(), 15)
        says = [example.content, example.license, example.source_uri, example.metadata]
        digest = _digest(orjson.dumps(says, option=orjson.OPT_SORT_KEYS), 10)
        row = (file << 40 | line) << 80 | digest
        known = self._rows.setdefault(key, row)
        if known == row:
            return None
        place = known >> 80
        return Sighting(file=place >> 40, line=place & ((1 << 40) - 1), same=known & ((1 << 80) - 1) == digest)


def _digest(data: bytes, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=size).digest(), "big")
