from __future__ import annotations

import tracemalloc
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rise_store.corpus import ExampleReader, RejectedRow, parse_row
from rise_store.corpus.formats import ParquetFile
from rise_store.corpus.mapping import parse_mapping
from rise_store.corpus.sources import RawRow
from rise_store.errors import InputError
from rise_store.records import Example
from tests.corpus.missing_packages import hide


def write(path: Path, columns: Any, **options: Any) -> Path:
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def fields(source: ParquetFile) -> list[Any]:
    rows = list(source)
    assert all(isinstance(row, RawRow) for row in rows), rows
    return [row.fields for row in rows if isinstance(row, RawRow)]


def refusal(path: object, mapping: str = "") -> str:
    with pytest.raises(InputError) as caught:
        list(ExampleReader([ParquetFile(str(path))], mapping=parse_mapping(mapping) if mapping else None))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_those_that_json_lines_would_hold(tmp_path: Path) -> None:
    rows = [{"text": f"text {number}", "id": f"r{number}", "tags": ["a", "b"]} for number in range(1000)]
    file = write(tmp_path / "a.parquet", pa.Table.from_pylist(rows), row_group_size=300)
    reader = ExampleReader([ParquetFile(file)])
    read = list(reader)
    assert read == [
        parse_row(row, f"{file}:{number}", example.origin)
        for number, (row, example) in enumerate(zip(rows, read, strict=True), 1)
        if isinstance(example, Example)
    ]
    last = read[-1]
    assert isinstance(last, Example)
    assert last.origin is not None
    assert (last.origin.file, last.origin.row) == (str(file), 1000)
    assert reader.bytes_read == reader.total_bytes == file.stat().st_size
    assert list(reader) == read  # iterating again begins anew


def test_values_that_json_has_no_type_for(tmp_path: Path) -> None:
    noon = datetime(2024, 1, 2, 12, 30, tzinfo=timezone.utc)
    file = write(
        tmp_path / "a.parquet",
        {
            "day": [date(2024, 1, 2)],
            "at": pa.array([noon], pa.timestamp("us", "UTC")),
            "price": [Decimal("19.90")],
            "count": [Decimal("12.00")],
            "exact": [Decimal("0.1234567890123456789")],
            "took": [timedelta(seconds=90)],
            "name": [b"caf\xc3\xa9"],
            "struct": [{"a": 1, "when": date(2024, 1, 2)}],
            "map": pa.array([[("k", [date(2024, 1, 2)])]], pa.map_(pa.string(), pa.list_(pa.date32()))),
            "half": pa.array([0.5], pa.float16()),
            "kind": pa.array(["x"]).dictionary_encode(),
            "nothing": pa.array([None], pa.string()),
        },
    )
    assert fields(ParquetFile(file)) == [
        {
            "day": "2024-01-02",
            "at": "2024-01-02T12:30:00+00:00",
            "price": 19.9,
            "count": 12,
            "exact": "0.1234567890123456789",
            "took": 90.0,
            "name": "café",
            "struct": {"a": 1, "when": "2024-01-02"},
            "map": {"k": ["2024-01-02"]},
            "half": 0.5,
            "kind": "x",
            "nothing": None,
        }
    ]


def test_binary_data_rejects_its_row_unless_it_is_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"text": ["a b", "c d"], "image": [b"\xff\xd8", b"ok"]})
    rejected, example = ExampleReader([ParquetFile(file)])
    assert isinstance(rejected, RejectedRow)
    assert rejected.reason == f"{file}:1: field 'image' holds binary data, which JSON cannot hold"
    assert rejected.row == {"text": "a b", "image": "<2 bytes>"}
    assert isinstance(example, Example)
    left_out = ExampleReader([ParquetFile(file)], mapping=parse_mapping(only_mapped=True))
    assert [type(row) for row in left_out] == [Example, Example]


def test_a_value_that_cannot_be_read_rejects_its_row(tmp_path: Path) -> None:
    late = pa.array([0, 2**60], pa.timestamp("ms"))
    file = write(tmp_path / "a.parquet", pa.table({"text": ["a", "b"], "at": late}))
    first, second = ParquetFile(file)
    assert isinstance(first, RawRow)
    assert isinstance(second, RejectedRow)
    assert second.reason.startswith(f"{file}:2: field 'at' cannot be read: ")


def test_a_missing_column_is_one_error(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"content": ["x"] * 10, "n": [1] * 10})
    assert refusal(file, "text=body") == f"{file}: there is no column 'body'; its columns: 'content', 'n'"
    assert refusal(file, "text=content,metadata.a=meta.b").startswith(f"{file}: there is no column 'meta'")
    assert refusal(file) == (
        f"{file}: no column holds the text; name it with --map text=COLUMN. Its columns: 'content', 'n'"
    )
    wide = write(tmp_path / "wide.parquet", {f"c{number}": [1] for number in range(100)})
    assert refusal(wide).endswith("'c19' ...")


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    content = write(tmp_path / "a.parquet", {"text": ["some text"] * 5000}).read_bytes()
    truncated = tmp_path / "truncated.parquet"
    truncated.write_bytes(content[:-30])
    assert "truncated.parquet: cannot be read as Parquet: Parquet magic bytes not found" in refusal(truncated)
    lines = tmp_path / "lines.parquet"
    lines.write_bytes(b'{"text": "a"}\n' * 100)
    assert "lines.parquet: cannot be read as Parquet" in refusal(lines)
    (tmp_path / "empty.parquet").write_bytes(b"")
    assert "empty.parquet: cannot be read as Parquet" in refusal(tmp_path / "empty.parquet")
    assert refusal(tmp_path / "none.parquet").endswith("none.parquet: no such file; check the path")
    assert refusal(tmp_path).endswith("is a folder; name the files in it")


def test_damage_in_the_middle_ends_the_reading(tmp_path: Path) -> None:
    rows = [f"text number {number}" for number in range(4000)]
    file = write(tmp_path / "a.parquet", {"text": rows}, row_group_size=1000, use_dictionary=False, compression="gzip")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as Parquet after [1-9][\d,]* rows: .*; get the file again"):
        list(ParquetFile(file))


def test_no_rows_and_two_columns_of_one_name(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.parquet", pa.table({"text": pa.array([], pa.string())}))
    assert list(ExampleReader([ParquetFile(empty)])) == []
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    assert "two columns are named 'text'" in refusal(write(tmp_path / "twice.parquet", twice))


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"text": ["a"] * 1000})
    source = ParquetFile(file)
    manifest = source.manifest()
    assert (manifest.format, manifest.bytes, len(manifest.sha256 or "")) == ("parquet", file.stat().st_size, 64)
    assert len(list(source)) == 1000
    rows = iter(source)
    next(rows)
    other = write(tmp_path / "b.parquet", {"text": ["b"] * 10})
    other.replace(file)
    with pytest.raises(InputError, match="changed while it was read"):
        list(rows)


def test_an_address_of_fsspec(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"text": ["over the wire"]})
    with fsspec.open("memory://bucket/a.parquet", "wb") as remote:
        remote.write(file.read_bytes())
    source = ParquetFile("memory://bucket/a.parquet")
    (row,) = source
    assert isinstance(row, RawRow)
    assert (row.fields, row.location) == ({"text": "over the wire"}, "memory://bucket/a.parquet:1")
    assert source.total_bytes == file.stat().st_size
    assert "nowhere.parquet: no such file" in refusal("memory://bucket/nowhere.parquet")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(groups: int) -> int:
        path = tmp_path / f"{groups}.parquet"
        group = pa.table({"text": [f"{number:0400}" for number in range(2000)]})
        with pq.ParquetWriter(path, group.schema) as writer:
            for _ in range(groups):
                writer.write_table(group)
        tracemalloc.start()
        assert sum(1 for _ in ParquetFile(path)) == 2000 * groups
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(10) < 1.5 * peak(1)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.parquet", {"text": ["a"]})
    hide(monkeypatch, "pyarrow")
    assert refusal(file) == f"{file}: needs the package pyarrow: pip install 'rise-store[parquet]'"
