from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rise_store.corpus import ExampleReader, JsonLines, RejectedRow, parse_row, read_examples, read_jsonl
from rise_store.errors import InputError
from rise_store.records import Example, RowOrigin

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".jsonl": bytes,
    ".jsonl.gz": gzip.compress,
    ".jsonl.zst": zstandard.compress,
    ".jsonl.bz2": bz2.compress,
    ".jsonl.xz": partial(lzma.compress, preset=1),
}
COMPRESSED = [suffix for suffix in PACKERS if suffix != ".jsonl"]
VALUE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
ROW: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"text": st.text(min_size=1).filter(str.strip)},
    optional={"label": VALUE, "license": st.none() | st.text(), "metadata": st.dictionaries(st.text("ab"), VALUE)},
)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def incompressible(count: int) -> bytes:
    random = Random(0)
    return lines(*({"text": random.randbytes(500).hex()} for _ in range(count)))


def texts(reader: ExampleReader) -> list[str | None]:
    """The text of every example, None for a rejected row."""
    return [row.text if isinstance(row, Example) else None for row in reader]


def rejections(reader: ExampleReader) -> list[str]:
    rows = [row for row in reader if isinstance(row, RejectedRow)]
    assert all(row.reason.startswith(f"{row.location}: ") and "\n" not in row.reason for row in rows)
    return [row.reason for row in rows]


@given(rows=st.lists(ROW, max_size=8), ascii_only=st.booleans(), ending=st.sampled_from(["\n", "\r\n", "\n \n"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_that_are_written_come_back(
    tmp_path: Path, rows: list[dict[str, Any]], ascii_only: bool, ending: str
) -> None:
    rows = [{"id": number, **row} for number, row in enumerate(rows)]
    content = ending.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows).encode()
    step = ending.count("\n")
    for suffix, pack in PACKERS.items():
        path = write(tmp_path / f"rows{suffix}", pack(content))
        starts = [0, *accumulate(len(json.dumps(row, ensure_ascii=ascii_only).encode()) + len(ending) for row in rows)]
        expected = []
        for number, row in enumerate(rows):
            line, start = 1 + step * number, starts[number]
            end = starts[number + 1] - len(ending) + ending.index("\n") + 1
            origin = RowOrigin(file=str(path), row=line, start=start, end=min(end, len(content)))
            expected.append(parse_row(row, f"{path}:{line}", origin))
        assert list(read_jsonl(path)) == expected


@pytest.mark.parametrize("suffix", PACKERS)
def test_progress_goes_from_zero_to_the_size_of_the_files_on_disk(tmp_path: Path, suffix: str) -> None:
    content = incompressible(5000)
    paths = [write(tmp_path / f"{name}{suffix}", PACKERS[suffix](content)) for name in "ab"]
    reader = ExampleReader(paths, distinct=False)
    assert reader.total_bytes == sum(path.stat().st_size for path in paths)
    assert reader.bytes_read == 0
    seen = [reader.bytes_read for _ in reader]
    assert seen == sorted(seen)
    assert len(seen) == 10_000
    assert len(set(seen)) > 4
    assert reader.bytes_read == reader.total_bytes
    assert [reader.bytes_read for _ in reader] == seen


def test_a_reader_can_be_iterated_again(tmp_path: Path) -> None:
    reader = read_jsonl(write(tmp_path / "a.jsonl", lines({"text": "a"}, {"text": "a"})))
    assert texts(reader) == texts(reader) == ["a"]
    assert reader.duplicates == 1


def test_compression_is_recognised_without_its_suffix(tmp_path: Path) -> None:
    for pack in PACKERS.values():
        assert texts(read_jsonl(write(tmp_path / "data", pack(lines({"text": "a"}))))) == ["a"]


def test_compressed_files_may_consist_of_several_parts(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    for suffix, pack in PACKERS.items():
        content = pack(lines({"text": "a"})) + pack(b"") + pack(b'{"text": ') + pack(b'"b"}')
        if suffix == ".jsonl.zst":
            content = skippable + content
        assert texts(read_jsonl(write(tmp_path / f"parts{suffix}", content))) == ["a", "b"]


def test_blank_lines_and_a_byte_order_mark_are_skipped(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\n  \r\n{"text": "a"}\n\n\t\n{"text": "b"}'
    assert texts(read_jsonl(write(tmp_path / "a.jsonl", content))) == ["a", "b"]
    assert texts(read_jsonl(write(tmp_path / "b.jsonl", b'\xef\xbb\xbf{"text": "a"}'))) == ["a"]
    assert texts(read_jsonl(write(tmp_path / "c.jsonl", b""))) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": "a", }', "malformed JSON at column 1"),
        (b'{"text": "a"', "malformed JSON at column 1"),
        (b'{"text": "a"} {"text": "b"}', 'malformed JSON at column 15, near \'{"text": "b"}\''),
        (b'{"text": "a", "x": NaN}', "malformed JSON at column 20, near 'NaN}'"),
        (b'{"text": "a", "x": -Infinity}', "malformed JSON at column 2"),
        (b'{"text": "\xc3\xa4", "x": 1e999}', "malformed JSON"),
        (b'{"text": "\\ud800", "x": NaN}', "holds NaN or infinity"),
        (b'{"text": "\\ud800", "x": }', "malformed JSON"),
        (b'{"text": "\\ud800", "x": ' + b"[" * 5000, "malformed JSON"),
        (b'{"text": "a", "x": ' + b"[" * 5000, "malformed JSON"),
        (b'{"text": "a", "x": ' + b"[" * 500 + b"]" * 500 + b"}", "nested more than 100 levels"),
        (b'{"text": "a\xff"}', "invalid UTF-8 at byte offset 11 of the line (0xff)"),
        ('{"text": "a"}'.encode("utf-16"), "invalid UTF-8 at byte offset 0 of the line (0xff)"),
        (b"[1, 2]", "expected an object with the fields of one example, found a list"),
        (b'{"text": 3}', '"text" is an integer; expected a string'),
        (b'{"text": ""}', "the row has no text"),
    ],
)
def test_reading_goes_on_behind_a_row_that_cannot_be_used(tmp_path: Path, line: bytes, said: str) -> None:
    path = write(tmp_path / "a.jsonl", lines({"text": "a"}) + line.replace(b"\n", b"") + b"\n" + lines({"text": "b"}))
    reader = read_jsonl(path)
    assert texts(reader) == ["a", None, "b"]
    (reason,) = rejections(reader)
    assert reason.startswith(f"{path}:2: ")
    assert said in reason
    assert len(reason) < len(str(path)) + 200


def test_surrogates_without_a_partner_are_replaced(tmp_path: Path) -> None:
    content = b'{"text": "a\\ud800b \\ud83d\\ude00", "x": "\\uDFFF"}\n'
    (example,) = read_jsonl(write(tmp_path / "a.jsonl", content))
    assert isinstance(example, Example)
    assert example.text == "a\ufffdb \U0001f600"
    assert example.metadata == {"x": "\ufffd"}


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_line_of_100_mb_is_reported_and_never_held_beyond_the_limit(tmp_path: Path, suffix: str) -> None:
    content = lines({"text": "a"}) + b'{"text": "' + b"x" * 100_000_000 + b'"}\n' + lines({"text": "b"})
    path = write(tmp_path / f"a{suffix}", PACKERS[suffix](content))
    del content
    tracemalloc.start()
    try:
        assert texts(read_jsonl(path)) == ["a", None, "b"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (64 << 20) + (32 << 20)  # the limit, and buffers
    assert "the line is longer than 67,108,864 bytes" in rejections(read_jsonl(path))[0]


def test_the_limit_counts_the_line_without_its_newline(tmp_path: Path) -> None:
    row = lines({"text": "a"}).rstrip()
    path = write(tmp_path / "a.jsonl", b"\n".join([row, row + b" ", b"x" * 5000, row.replace(b"a", b"b")]))
    assert texts(ExampleReader([path], max_line_bytes=len(row))) == ["a", None, None, "b"]
    path = write(tmp_path / "end.jsonl", row + b" ")
    assert texts(ExampleReader([path], max_line_bytes=len(row))) == [None]


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_damaged_compression_names_the_file_and_how_much_was_read(tmp_path: Path, suffix: str) -> None:
    content = incompressible(2000)
    packed = PACKERS[suffix](content)
    middle = len(packed) // 2

    read: list[str | None] = []
    path = write(tmp_path / f"cut{suffix}", packed[:middle])
    with pytest.raises(InputError, match=r"the compressed data ends too early, after [\d,]+ lines") as caught:
        read.extend(row.text for row in read_jsonl(path) if isinstance(row, Example))
    assert str(path) in str(caught.value)

    for damaged in (packed[:middle] + bytes(2000) + packed[middle + 2000 :], content, b"{}" * 9):
        path = write(tmp_path / f"damaged{suffix}", damaged)
        with pytest.raises(InputError, match=r"the compressed data (is damaged|ends too early).*after [\d,]+ lines"):
            list(read_jsonl(path))

    with pytest.raises(InputError, match="ends too early, after 0 lines"):
        list(read_jsonl(write(tmp_path / f"empty{suffix}", b"")))


def test_rows_before_the_damage_are_read(tmp_path: Path) -> None:
    content = incompressible(2000)
    for suffix in COMPRESSED:
        packed = PACKERS[suffix](content)
        reader = read_jsonl(write(tmp_path / f"cut{suffix}", packed[: len(packed) * 9 // 10]))
        rows: list[object] = []
        with pytest.raises(InputError) as caught:
            rows.extend(reader)
        assert len(rows) > 1500
        assert f"after {len(rows):,} lines" in str(caught.value)


def test_a_missing_zstandard_package_is_named_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.jsonl.zst", zstandard.compress(lines({"text": "a"})))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(InputError, match=r"pip install 'rise-store\[zstd\]'"):
        read_jsonl(path)


def test_files_that_cannot_be_opened_are_named_before_reading(tmp_path: Path) -> None:
    good = write(tmp_path / "good.jsonl", lines({"text": "a"}))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, said in [
        (tmp_path / "none.jsonl", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "loop", "cannot be read: "),
        (Path("x" * 5000), "cannot be read: "),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            read_examples([good, path])
        assert str(caught.value).startswith(str(path))
    with pytest.raises(InputError, match=r"'a\\x00b': is no path"):
        read_jsonl("a\0b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named_before_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({"text": "a"}))
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_jsonl(path)


def test_a_file_that_vanishes_between_is_an_input_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({"text": "a"}))
    reader = read_jsonl(path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        list(reader)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have UTF-8 file names only")
def test_a_file_name_need_not_be_utf8(tmp_path: Path) -> None:
    path = write(tmp_path / os.fsdecode(b"caf\xe9.jsonl"), lines({"text": "a"}, {"text": 1}))
    example, rejected = read_jsonl(path)
    assert isinstance(example, Example)
    assert isinstance(rejected, RejectedRow)
    assert example.location == f"{tmp_path}/caf\ufffd.jsonl:1"
    rejected.reason.encode()


def test_standard_input_is_read_as_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stdin, os.fdopen(write_end, "wb") as writer:
        monkeypatch.setattr(sys, "stdin", stdin)
        reader = read_jsonl("-")
        assert reader.total_bytes is None
        rows = iter(reader)
        writer.write(lines({"text": "a"}))
        writer.flush()
        first = next(rows)  # the writer has not closed its end
        assert isinstance(first, Example)
        assert (first.text, first.location) == ("a", "<stdin>:1")
        writer.write(lines({"text": "b"}))
        writer.close()
        assert [row.location for row in rows] == ["<stdin>:2"]
        assert reader.bytes_read == len(lines({"text": "a"}, {"text": "b"}))
        assert not stdin.closed


@pytest.mark.parametrize("suffix", PACKERS)
def test_standard_input_may_be_compressed(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    packed = PACKERS[suffix](lines({"text": "a"}))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
    assert texts(read_jsonl(Path("-"))) == ["a"]


def test_the_total_is_unknown_when_one_source_has_none(tmp_path: Path) -> None:
    assert read_examples([write(tmp_path / "a.jsonl", lines({"text": "a"})), "-"]).total_bytes is None


def test_a_repeated_row_is_skipped_and_counted(tmp_path: Path) -> None:
    row = {"id": 1, "text": "a", "x": {"p": 1, "q": 2}}
    again = {"x": {"q": 2, "p": 1}, "text": "a", "id": "1"}
    reader = read_jsonl(write(tmp_path / "a.jsonl", lines(row, again, {"text": "b"}, {"text": " b"}, row)))
    assert texts(reader) == ["a", "b"]
    assert reader.duplicates == 3


@pytest.mark.parametrize("other", [{"text": "b"}, {"text": "a", "x": 1}, {"text": "a", "license": "MIT"}])
def test_one_id_for_two_rows_is_fatal_and_names_both(tmp_path: Path, other: dict[str, object]) -> None:
    rows = [{"id": "r", "text": "a"}, {"text": "between"}, {"id": "r", **other}]
    path = write(tmp_path / "a.jsonl", lines(*rows))
    with pytest.raises(InputError) as caught:
        list(read_jsonl(path))
    assert str(caught.value).startswith(f"{path}:3: \"id\" 'r' stands for another row at {path}:1")


def test_a_repeated_text_without_id_but_with_other_metadata_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({"text": "a", "source": "x"}, {"text": "a", "source": "y"}, {"text": "b"}))
    reader = read_jsonl(path)
    assert texts(reader) == ["a", None, "b"]
    assert f"the same text stands at {path}:1 with other metadata" in rejections(reader)[0]


def test_keys_are_compared_across_the_files_of_a_run(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{text}.jsonl", lines({"id": 1, "text": text})) for text in "ab"]
    with pytest.raises(InputError, match=r"b\.jsonl:1: .* stands for another row at .*a\.jsonl:1"):
        texts(read_examples(paths))


def test_rows_that_repeat_across_files_are_counted_once(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.jsonl", lines({"id": 1, "text": "same"})) for name in "ab"]
    reader = read_examples(paths)
    assert texts(reader) == ["same"]
    assert reader.duplicates == 1


def test_keys_may_repeat_where_rows_need_not_be_distinct(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({"id": 1, "text": "a"}, {"id": 1, "text": "b"}))
    assert texts(ExampleReader([path], distinct=False)) == ["a", "b"]


def test_a_manifest_is_the_file_as_it_lies_on_disk(tmp_path: Path) -> None:
    for suffix, pack in PACKERS.items():
        path = write(tmp_path / f"a{suffix}", pack(lines({"text": "a"})))
        source = JsonLines(path)
        manifest = source.manifest()
        assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (manifest.uri, manifest.format, manifest.bytes) == (str(path), "jsonl", path.stat().st_size)
        assert len(list(source)) == len(list(source)) == 1
        os.utime(path, (0, 0))  # touched, not changed
        assert len(list(source)) == 1


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_file_that_changes_while_it_is_read_ends_with_an_error_behind_its_rows(tmp_path: Path, suffix: str) -> None:
    content = incompressible(2000)
    path = write(tmp_path / f"a{suffix}", PACKERS[suffix](content))
    source = JsonLines(path)
    source.manifest()
    reading = iter(source)
    rows: list[object] = [next(reading)]
    with path.open("ab") as file:
        file.write(PACKERS[suffix](lines({"text": "b"})))
    with pytest.raises(InputError, match=r"changed while it was read; .* run the same command again"):
        rows.extend(reading)
    assert len(rows) == 2001
    source.manifest()
    assert len(list(source)) == 2001
    write(path, PACKERS[suffix](content))
    with pytest.raises(InputError, match="changed while it was read"):
        list(source)


def test_a_line_of_a_gigabyte_is_never_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(lines({"text": "a"}))
        file.truncate(1 << 30)  # a hole: it takes no room on the disk
        file.seek(1 << 30)
        file.write(b"\n" + lines({"text": "b"}))
    tracemalloc.start()
    try:
        read = texts(ExampleReader([path], max_line_bytes=1 << 20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == ["a", None, "b"]
    assert peak < 10 << 20


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_file_in_two_parts_gives_the_rows_of_the_whole(tmp_path: Path, cut: int) -> None:
    rows = [lines({"text": str(number)}) for number in range(3)]
    parts = [write(tmp_path / f"{n}.jsonl", b"".join(part)) for n, part in enumerate((rows[:cut], rows[cut:]))]
    assert texts(read_examples(parts)) == texts(read_jsonl(write(tmp_path / "whole.jsonl", b"".join(rows))))


def test_the_memory_of_the_key_check_is_small(tmp_path: Path) -> None:
    count = 50_000
    path = write(tmp_path / "a.jsonl", lines(*({"id": f"row-{n}", "text": f"text {n} " * 20} for n in range(count))))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_jsonl(path)) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (peak - (4 << 20)) / count < 170
