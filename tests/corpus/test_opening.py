"""Which reader a name stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rise_store.corpus import ExampleReader, open_examples, open_sources
from rise_store.corpus.dispatch import format_of
from rise_store.errors import InputError
from rise_store.records import Example
from tests.corpus.packers import PACKERS, fields, write

ROWS = {
    "a.jsonl": '{"text": "jsonl"}\n',
    "b.ndjson": '{"text": "ndjson"}\n',
    "c.csv": "text\ncsv\n",
    "d.tsv": "text\nt,s;v\n",
    "e.md": "md",
    "f.txt": "txt",
}


def texts(names: list[Any], **options: Any) -> list[str | None]:
    return [row.text if isinstance(row, Example) else row.reason for row in open_examples(names, **options)]


@pytest.mark.parametrize("suffix", PACKERS)
def test_the_suffix_tells_the_format(tmp_path: Path, suffix: str) -> None:
    names = [write(tmp_path / f"{name}{suffix}", PACKERS[suffix](content.encode())) for name, content in ROWS.items()]
    assert texts(names) == ["jsonl", "ndjson", "csv", "t,s;v", "md", "txt"]


def test_parquet_is_told_by_its_suffix(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["parquet"]}), tmp_path / "a.parquet")
    assert texts([tmp_path / "a.parquet"]) == texts([tmp_path]) == ["parquet"]
    assert (format_of("a.PQ"), format_of("a.parquet.gz")) == ("parquet", None)


def test_a_file_of_unknown_suffix_is_json_lines_unless_a_format_is_given(tmp_path: Path) -> None:
    path = write(tmp_path / "data", '{"text": "a"}\n')
    assert texts([path]) == ["a"]
    assert texts([path], format="text") == ['{"text": "a"}\n']
    assert [row.content for row in open_examples([path], format="csv") if isinstance(row, Example)] == []
    with pytest.raises(InputError, match=r"unknown format 'xml'; known are jsonl, csv, tsv, text, parquet"):
        open_sources([path], format="xml")


def test_a_folder_is_its_files_in_sorted_order_and_its_texts_behind_them(tmp_path: Path) -> None:
    for name, content in ROWS.items():
        write(tmp_path / "x" / name, content)
    write(tmp_path / "a" / "0.jsonl", '{"text": "first"}\n')
    write(tmp_path / "picture.png", b"\x89PNG")
    assert texts([tmp_path]) == ["first", "jsonl", "ndjson", "csv", "t,s;v", "md", "txt"]
    assert [source.name for source in open_sources([tmp_path])] == [
        f"{tmp_path}/a/0.jsonl",
        *(f"{tmp_path}/x/{name}" for name in list(ROWS)[:4]),
        str(tmp_path),
    ]


def test_with_a_format_all_files_of_a_folder_are_read_in_it(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "print()")
    write(tmp_path / "b.jsonl", "{}")
    assert texts([tmp_path], format="text") == ["print()", "{}"]


def test_a_folder_without_files_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "pictures" / "a.png", b"\x89PNG")
    for name in ("empty", "pictures"):
        with pytest.raises(InputError, match=rf"{name}: holds no file of a known format \(\.csv \.jsonl "):
            open_sources([tmp_path / name])
    with pytest.raises(InputError, match="empty: holds no file"):
        open_sources([tmp_path / "empty"], format="text")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.jsonl", ["0"]),
        ("**/*.jsonl", ["0", "1", "2", "3"]),
        ("a/**/?.jsonl", ["1", "2"]),
        ("a/**", ["1", "2"]),
        ("[ab]/*.jsonl", ["1", "3"]),
        ("**/[!13]/2.jsonl", ["2"]),
        ("?", ["1", "2", "3"]),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, found: list[str]) -> None:
    for name in ("0", "a/1", "a/c/2", "b/3", ".hidden/4", "a/.5"):
        write(tmp_path / f"{name}.jsonl", json.dumps({"text": name[-1]}) + "\n")
    assert texts([f"{tmp_path}/{pattern}"]) == found


def test_patterns_begin_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a" / "x.txt", "text")
    monkeypatch.chdir(tmp_path)
    for pattern in ("**/*.txt", "*/x.txt", "*", "./**/x.txt"):
        (document,) = open_examples([pattern])
        assert isinstance(document, Example)
        assert document.id.removeprefix("./") == "a/x.txt"


def test_a_name_that_looks_like_a_pattern_may_be_a_file(tmp_path: Path) -> None:
    assert texts([write(tmp_path / "a[1].jsonl", '{"text": "a"}')]) == ["a"]
    with pytest.raises(InputError, match=r"b\[1\]\*: matches no file; check the pattern"):
        open_sources([f"{tmp_path}/b[1]*"])


def test_a_name_that_is_missing(tmp_path: Path) -> None:
    for name in ("none.jsonl", "none.csv", "none.txt", "none.parquet", "none"):
        with pytest.raises(InputError, match=rf"{name}: no such file; check the path"):
            open_sources([tmp_path / name])


def test_encodings_are_named_and_never_guessed(tmp_path: Path) -> None:
    rows = '{"text": "Käse"}\n{"text": "b"}\n'
    path = write(tmp_path / "a.jsonl", rows.encode("latin-1"))
    assert texts([path], encoding="latin-1") == ["Käse", "b"]
    reason, b = texts([path])
    assert b == "b"
    assert reason is not None
    assert reason.startswith(f"{path}:1: invalid UTF-8 at byte offset 11 of the line (0xe4); ")
    assert texts([write(tmp_path / "b.jsonl", rows.encode("utf-16"))]) == ["Käse", "b"]
    assert texts([write(tmp_path / "b.jsonl", rows.encode("utf-16-be"))], encoding="UTF-16BE") == ["Käse", "b"]
    for unknown in ("utf-9", "base64", "cp037", "a\0b", "ä"):
        with pytest.raises(InputError, match="unknown encoding"):
            open_sources([path], encoding=unknown)


def test_mixed_encodings_are_rejected_rows_with_the_byte_and_never_mojibake(tmp_path: Path) -> None:
    lines = ['{"text": "é1"}'.encode(), '{"text": "é2"}'.encode("latin-1"), '{"text": "é3"}'.encode()]
    path = write(tmp_path / "a.jsonl", b"\n".join(lines))
    first, rejected, last = texts([path])
    assert (first, last) == ("é1", "é3")
    assert rejected is not None
    assert rejected.startswith(f"{path}:2: invalid UTF-8 at byte offset 10 of the line (0xe9)")
    wide = '{"text": "é1"}\n'.encode("utf-16-le") + b"\x00\xd8\n\x00" + '{"text": "\u0a0a"}\n'.encode("utf-16-le")
    first, rejected, last = texts([write(tmp_path / "b.jsonl", wide)], encoding="utf-16-le")
    assert (first, last) == ("é1", "\u0a0a")
    assert rejected is not None
    assert "b.jsonl:2: invalid utf-16-le at byte offset 0 of the line (0x00); check its encoding" in rejected


def test_saved_datasets_are_told_from_folders_of_files(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["saved"]}).save_to_disk(tmp_path / "saved")
    assert texts([tmp_path / "saved"]) == ["saved"]


def test_sources_are_read_one_behind_the_other(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", "text\none\n")
    two = write(tmp_path / "b.jsonl", '{"text": "two"}')
    reader = open_examples([one, two])
    assert reader.total_bytes == one.stat().st_size + two.stat().st_size
    assert fields(open_sources([two, one])[1]) == [{"text": "one"}]
    assert [row.text for row in ExampleReader(open_sources([one, two])) if isinstance(row, Example)] == ["one", "two"]
