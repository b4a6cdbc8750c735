from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rise_store.corpus import ExampleReader, RawRow, RejectedRow
from rise_store.corpus.formats import CsvFile
from rise_store.errors import InputError
from rise_store.records import Example
from tests.corpus.packers import PACKERS, fields, write

NEWLINES = st.sampled_from(["\n", "\r\n"])
CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


def test_a_row_is_an_example_with_its_line_and_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,text,by\n1,"one,\ntwo",me\n\n2,ä,you\n')
    reader = ExampleReader([CsvFile(path)])
    first, second = reader
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert (first.id, first.text, first.metadata, first.location) == ("1", "one,\ntwo", {"by": "me"}, f"{path}:2")
    assert second.origin is not None
    assert (second.origin.row, second.location) == (5, f"{path}:5")
    assert path.read_bytes()[second.origin.start : second.origin.end] == "2,ä,you\n".encode()


@given(
    rows=st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=6),
    newline=NEWLINES,
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    suffix=st.sampled_from(sorted(PACKERS)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_that_are_written_come_back(
    tmp_path: Path, rows: list[list[str]], newline: str, delimiter: str, encoding: str, quoting: int, suffix: str
) -> None:
    if quoting == csv.QUOTE_MINIMAL:  # before Python 3.13 the writer leaves a lone carriage return unquoted
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerows([["a", "b"], *rows])
    path = write(tmp_path / f"a.csv{suffix}", PACKERS[suffix](written.getvalue().encode(encoding)))
    source = CsvFile(path)
    read = list(source)
    assert [list(row.fields.values()) for row in read if isinstance(row, RawRow)] == rows
    assert source.columns == ("a", "b")
    assert source.bytes_read == source.total_bytes
    content = written.getvalue().encode(encoding)
    names = ('"a"', '"b"') if quoting == csv.QUOTE_ALL else ("a", "b")
    header = (delimiter.join(names) + newline).encode(encoding)
    assert b"".join(content[row.origin.start : row.origin.end] for row in read if row.origin) == content[len(header) :]


def test_the_delimiter_is_told_by_the_name_or_the_header(tmp_path: Path) -> None:
    assert fields(CsvFile(write(tmp_path / "a.tsv", "text\tb,c;d\nx\ty\n"))) == [{"text": "x", "b,c;d": "y"}]
    assert fields(CsvFile(write(tmp_path / "a.csv", 'text;"b,c,d"\nx;y\n'))) == [{"text": "x", "b,c,d": "y"}]
    assert fields(CsvFile(write(tmp_path / "b.csv", "text\nx;y\n"))) == [{"text": "x;y"}]
    assert fields(CsvFile(write(tmp_path / "c.csv", "text;x\na;b\n"), delimiter=",")) == [{"text;x": "a;b"}]


def test_files_without_rows(tmp_path: Path) -> None:
    for content in ("", "\n\n", "text", "text\n"):
        assert fields(CsvFile(write(tmp_path / "a.csv", content))) == []


def test_a_header_that_names_two_columns_alike_is_refused_and_one_without_name_gets_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv:1: two columns have the name 'text'"):
        list(CsvFile(write(tmp_path / "a.csv", "text, text\nx,y\n")))
    assert fields(CsvFile(write(tmp_path / "b.csv", ",text\n0,y\n"))) == [{"column_1": "0", "text": "y"}]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("b", "the row has 1 value where the header has 2 names"),
        ("b,c,d", "the row has 3 values where the header has 2 names"),
        ('"b" c,d', "a quoted value goes on behind its closing quote"),
        ('b,"x\ny" z', r"a quoted value goes on behind its closing quote; it takes in the lines up to 4"),
        ('"x\ny","z" z', r"a quoted value that opens in line 4 goes on behind its closing quote"),
        (b"b,\xe4", r"invalid UTF-8 at byte offset 2 of the line \(0xe4\)"),
        (b'b,"\n\xe4"', r"invalid UTF-8 at byte offset 0 of line 4 \(0xe4\)"),
    ],
)
def test_reading_goes_on_behind_a_row_that_cannot_be_used(tmp_path: Path, row: str | bytes, said: str) -> None:
    content = b"text,x\na,1\n" + (row if isinstance(row, bytes) else row.encode()) + b"\nz,2\n"
    path = write(tmp_path / "a.csv", content)
    first, rejected, last = CsvFile(path)
    assert isinstance(first, RawRow)
    assert isinstance(last, RawRow)
    assert (first.fields, last.fields) == ({"text": "a", "x": "1"}, {"text": "z", "x": "2"})
    assert isinstance(rejected, RejectedRow)
    assert rejected.location == f"{path}:3"
    with pytest.raises(InputError, match=rf"a\.csv:3: {said}"):
        raise InputError(rejected.reason)


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_quote_that_is_never_closed_ends_the_reading_where_it_opened(tmp_path: Path, suffix: str) -> None:
    content = 'text,x\na,1\n"two\nlines","wrong\n' + "b,2\n" * 50_000
    source = CsvFile(write(tmp_path / f"a.csv{suffix}", PACKERS[suffix](content.encode())))
    rows = iter(source)
    assert fields([next(rows)]) == [{"text": "a", "x": "1"}]
    with pytest.raises(InputError, match=r":4: the quote that opens here is not closed before the end of the file"):
        next(rows)


def test_a_quote_that_is_not_closed_is_noticed_within_the_limit_of_a_row(tmp_path: Path) -> None:
    content = 'text,x\na,"wrong\n' + f"b,{'2' * 1000}\n" * 20_000
    path = write(tmp_path / "a.csv", content)
    del content
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r":2: the quote that opens here is not closed before 1,000,000 bytes"):
            list(CsvFile(path, 1_000_000))
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
    finally:
        tracemalloc.stop()


def test_a_wrong_quote_that_a_later_one_closes_is_reported_with_what_it_took(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,x\n"a,1\nb,2\nc,"three"\nd,4\n')
    assert fields(CsvFile(path)) == [
        f"{path}:2: a quoted value goes on behind its closing quote; it takes in the lines up to 4; "
        'write a quote within it as ""',
        {"text": "d", "x": "4"},
    ]


def test_a_line_above_the_limit_is_a_rejected_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,x\n" + "a" * 200 + ",1\nb,2\n")
    assert fields(CsvFile(path, 100)) == [
        f"{path}:2: the line is longer than 100 bytes; split its text",
        {"text": "b", "x": "2"},
    ]


def test_a_document_may_be_longer_than_the_csv_module_takes_by_default(tmp_path: Path) -> None:
    text = "word " * 100_000
    assert fields(CsvFile(write(tmp_path / "a.csv", f"text\n{text}\n"))) == [{"text": text}]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le"])
def test_the_encoding_may_be_named(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", "text\nÄöü\n".encode(encoding))
    assert fields(CsvFile(path, encoding=encoding)) == [{"text": "Äöü"}]
