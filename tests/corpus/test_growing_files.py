"""JSON Lines files that somebody is still appending to: complete lines only, and on from there later."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rise_store.corpus import JsonLines, Position, RawRow
from rise_store.errors import InputError


def read(path: Path, start: Position | None = None, encoding: str | None = None) -> tuple[list[object], Position]:
    source = JsonLines(path, start=start, complete_lines=True, encoding=encoding)
    return [row.fields for row in source if isinstance(row, RawRow)], source.position


def test_a_last_line_without_newline_is_left_alone_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": 2')
    rows, position = read(path)
    assert (rows, position) == ([{"a": 1}], Position(10, 3))
    assert read(path, position) == ([], position)
    with path.open("ab") as file:
        file.write(b'3}\n{"a": 4}\n')
    source = JsonLines(path, start=position, complete_lines=True)
    first, second = source
    assert isinstance(first, RawRow)
    assert (first.fields, first.location, first.origin.start) == ({"a": 23}, f"{path}:3", 10)
    assert isinstance(second, RawRow)
    assert second.origin.end == source.position.offset == source.bytes_read == source.total_bytes
    assert read(path, Position(first.origin.end or 0, first.origin.row + 1)) == ([{"a": 4}], source.position)


@given(
    texts=st.lists(st.text(), max_size=5),
    cut=st.integers(0, 200),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_file_in_two_parts_gives_the_rows_of_the_whole(
    tmp_path: Path, texts: list[str], cut: int, encoding: str
) -> None:
    content = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
    data = content.encode(encoding, "surrogatepass")
    path = tmp_path / "log.jsonl"
    wanted = encoding if encoding.endswith(("be", "le")) else None  # the others have a mark
    path.write_bytes(data[:cut])
    first, position = read(path, encoding=wanted)
    path.write_bytes(data)
    second, end = read(path, position, wanted)
    assert first + second == texts
    if texts:
        assert end == Position(len(data), len(texts) + 1)


def test_compressed_files_and_streams_are_read_from_their_beginning_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(b"{}\n"))
    for name in (path, "-"):
        with pytest.raises(InputError, match="can only be read from its beginning"):
            JsonLines(name, start=Position(3, 2))
