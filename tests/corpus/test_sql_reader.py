from __future__ import annotations

import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rise_store.corpus import ExampleReader, open_examples
from rise_store.corpus.formats import SqlQuery
from rise_store.corpus.mapping import parse_mapping
from rise_store.corpus.sources import RawRow
from rise_store.errors import InputError
from rise_store.records import Example
from tests.corpus.missing_packages import hide


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Address of a database with a table `docs` of 1000 rows."""
    path = tmp_path / "docs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table docs (id integer, body text, author text, size numeric, raw blob)")
        rows = ((number, f"text {number}", "Ann", number / 2, b"\xff") for number in range(1000))
        connection.executemany("insert into docs values (?, ?, ?, ?, ?)", rows)
        connection.commit()
    return f"sqlite:///{path}"


def count(database: str) -> int:
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection:
        rows: int = connection.execute("select count(*) from docs").fetchone()[0]
    return rows


def refusal(url: str, query: str = "select 1 as text") -> str:
    with pytest.raises(InputError) as caught:
        list(ExampleReader([SqlQuery(url, query)]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_of_a_query_become_examples(database: str) -> None:
    source = SqlQuery(database, "select id, body, author from docs order by id;")
    reader = ExampleReader([source], mapping=parse_mapping("text=body,metadata.by=author"))
    read = list(reader)
    assert len(read) == 1000
    last = read[-1]
    assert isinstance(last, Example)
    assert (last.key, last.text, last.metadata) == ("999", "text 999", {"by": "Ann"})
    assert last.origin is not None
    assert (last.origin.file, last.origin.row, last.location) == (database, 1000, f"{database}:1000")
    assert source.columns == ("id", "body", "author")
    assert reader.total_bytes is None
    assert list(reader) == read  # the query is asked again


def test_memory_does_not_grow_with_the_answer(database: str) -> None:
    def peak(rows: int) -> int:
        count = f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})"
        source = SqlQuery(database, f"{count} select i as id, printf('%0400d', i) as text from n")
        tracemalloc.start()
        assert sum(1 for _ in source) == rows
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(20_000) < 1.5 * peak(2_000)


def test_the_manifest_holds_the_query_and_no_digest(database: str) -> None:
    manifest = SqlQuery(database, "select id\n from  docs;").manifest()
    assert (manifest.uri, manifest.format) == (f"{database} select id from docs", "sql")
    assert (manifest.sha256, manifest.bytes) == (None, None)


def test_the_query_goes_to_the_database_as_it_is(database: str) -> None:
    (row,) = SqlQuery(database, r"select ' :id 12:30 100% \: %s ''' as text from docs limit 1")
    assert isinstance(row, RawRow)
    assert row.fields == {"text": r" :id 12:30 100% \: %s '"}


def test_nothing_is_written(database: str) -> None:
    assert refusal(database, "delete from docs") == f"{database}: the query gives no rows; give a SELECT with --query"
    assert refusal(database, "delete from docs returning body").startswith(f"{database}: no column holds the text")
    assert count(database) == 1000


def test_errors_of_the_database_are_one_line(database: str, tmp_path: Path) -> None:
    assert refusal(database, "selekt 1") == f'{database}: near "selekt": syntax error; check the address and the query'
    assert "no such column: bod" in refusal(database, "select bod from docs")
    assert "two columns are named 'id'" in refusal(database, "select id, id from docs")
    assert refusal(database, " ;").endswith("the SQL query is empty; give a SELECT with --query")
    nowhere = tmp_path / "nowhere.db"
    assert refusal(f"sqlite:///{nowhere}") == f"sqlite:///{nowhere}: no such file; check the path"
    assert not nowhere.exists()
    (tmp_path / "text.db").write_text("this is no database, and long enough to be seen as none" * 10)
    assert "file is not a database" in refusal(f"sqlite:///{tmp_path / 'text.db'}", "select * from t")


def test_a_missing_column_is_one_error(database: str) -> None:
    with pytest.raises(InputError, match=r"docs.db: there is no column 'text_body'; its columns: 'id', 'body'"):
        list(open_examples([], sql=database, query="select id, body from docs", map="text=text_body"))


def test_binary_data_rejects_its_row(database: str) -> None:
    read = list(ExampleReader([SqlQuery(database, "select body as text, raw from docs limit 2")]))
    assert all("field 'raw' holds binary data" in getattr(row, "reason", "") for row in read)
    assert len(read) == 2


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+nothing://reader:s3cret@db.example/corpus",
        "nothing://reader:s3cret@db.example/corpus?token=s3cret",
        "mysql+mysqlconnector://reader:s3cret@db.example/corpus",
        "postgresql+pg8000://reader:s3cret@db.example/corpus",
        "s3cret@nowhere",
    ],
)
def test_a_missing_driver_is_named_and_the_password_is_not(url: str) -> None:
    message = refusal(url)
    assert "s3cret" not in message
    assert "reader" not in message
    known = ("pip install", "SQLAlchemy knows no such database", "the SQL address cannot be read")
    assert any(words in message for words in known), message


def test_a_driver_that_repeats_the_password_is_not_quoted(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    url = "sqlite://reader:p%40ss@/?key=t0ken"

    class Talkative(Exception):
        pass

    def connect(*_: Any, **__: Any) -> None:
        raise Talkative(f"cannot connect to {url}, password p@ss, key t0ken")

    monkeypatch.setattr(sqlalchemy.engine.Engine, "connect", connect)
    message = refusal(url)
    assert "p@ss" not in message
    assert "p%40ss" not in message
    assert "t0ken" not in message


def test_address_and_query_belong_together(database: str) -> None:
    for options in ({"sql": database}, {"query": "select 1"}):
        with pytest.raises(InputError, match="--sql and --query belong together"):
            open_examples([], **options)  # type: ignore[arg-type]


def test_without_sqlalchemy_the_extra_is_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "sqlalchemy")
    assert refusal(database) == "--sql: needs the package sqlalchemy: pip install 'rise-store[sql]'"
