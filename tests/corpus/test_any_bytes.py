"""Whatever stands in a file, its reader gives rows and rejected rows, in order, or one clear line."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.corpus import RawRow, RejectedRow, Source, open_sources
from rise_store.errors import InputError
from tests.corpus.packers import PACKERS, fields

PIECES = [
    b"a",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\\",
    b"{",
    b'{"text": "a"}',
    b"\x00",
    b"\xff",
    b"BZh",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b" ",
]


def read(source: Source) -> tuple[list[RawRow | RejectedRow], str | None]:
    """The rows, and the error that ended them."""
    rows: list[RawRow | RejectedRow] = []
    try:
        rows.extend(source)
    except InputError as error:
        return rows, str(error)
    return rows, None


@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv", "text"])
@given(
    content=st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
    suffix=st.sampled_from(sorted(PACKERS)),
    encoding=st.sampled_from([None, "utf-8", "latin-1", "utf-16", "utf-32-be", "shift_jis", "ascii"]),
)
@settings(deadline=None)
def test_any_bytes(format: str, content: bytes, suffix: str, encoding: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{suffix}")
        path.write_bytes(PACKERS[suffix](content))
        (source,) = open_sources([path], format=format, encoding=encoding)
        source.manifest()
        rows, error = read(source)
        if error is None:
            assert source.bytes_read == path.stat().st_size
        else:
            assert error.startswith(f"{path}:")
            assert "\n" not in error
        fields(rows)
        spans = [(row.origin.start or 0, row.origin.end or 0) for row in rows if row.origin is not None]
        assert all(start <= end <= len(content) for start, end in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


@pytest.mark.parametrize("format", ["jsonl", "csv", "text"])
@given(content=st.binary(max_size=60), suffix=st.sampled_from(sorted(PACKERS)))
@settings(deadline=None)
def test_bytes_that_are_said_to_be_compressed(format: str, content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{suffix}")
        path.write_bytes(content)
        (source,) = open_sources([path], format=format)
        rows, error = read(source)
        fields(rows)
        assert error is None or (error.startswith(f"{path}:") and "\n" not in error)
