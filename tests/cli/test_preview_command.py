from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.conftest import STORY
from tests.ingest.examples import write_rows


def test_a_preview_for_people(command: Command, tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"body": STORY, "lic": "MIT", "by": "Ann"}, {"body": 5}, {"body": "And so it ends."}]
    file = write_rows(tmp_path / "a.jsonl", rows)
    done = command("preview", file.name, "--map", "text=body,license=lic", "--model", tiny_model)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["row", "key", "licence", "metadata", "tokens", "chunks", "text"]
    assert lines[1].split()[0] == "a.jsonl:1"
    assert " MIT " in lines[1]
    assert " by " in lines[1]
    assert 'not stored: a.jsonl:2: "text" is an integer; expected a string' in lines
    assert [line.split() for line in lines if line.startswith(("body", "lic", "by"))] == [
        ["body", "3", "text"],
        ["lic", "1", "license"],
        ["by", "1", "metadata"],
    ]
    assert lines[-1].startswith("3 rows: 2 would be stored, 1 not; ")


def test_a_preview_for_programs(command: Command, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"text": f"text {number}"} for number in range(9)])
    preview = command("preview", file, "--format", "json", "--rows", 6, "--show", 2).json
    assert (preview["rows"], preview["complete"], len(preview["examples"]), preview["tokens"]) == (6, False, 2, None)


def test_nothing_to_read_is_an_error_and_rejected_rows_are_none(command: Command, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"n": 1}])
    assert command("preview", file).code == 0
    assert (
        "none of the first 1 rows has a field 'body'; their fields: 'n'"
        in command("preview", file, "--map", "text=body").error
    )
    assert "no such file" in command("preview", "none.jsonl").error
    assert "'tekst' is no field of an example" in command("preview", file, "--map", "tekst=n").error
    assert "name FILES to read, or a database with --sql" in command("preview").error
    assert "--sql and --query belong together" in command("preview", file, "--sql", "sqlite://").error


def test_ingesting_a_query_with_a_template(command: Command, tmp_path: Path, store: Path, tiny_model: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "qa.db")) as connection:
        connection.execute("create table qa (id integer, question text, answer text, topic text)")
        connection.execute("insert into qa values (7, 'Who is Lily?', 'A little girl.', 'people')")
        connection.commit()
    source = ("--sql", "sqlite:///qa.db", "--query", "select * from qa order by id")
    template = ("--template", r"Q: {question}\nA: {answer}")
    done = command(
        "ingest", *source, *template, "--store", store, "--dataset", "qa", "--model", tiny_model, *SMALL_OPTIONS
    )
    assert done.code == 0, done
    (hit,) = command("query", "--store", store, "--text", "Who is Lily?", "--format", "json").json["results"]
    assert hit["text"] == "Q: Who is Lily?\nA: A little girl."
    assert (hit["example_id"], hit["metadata"]) == ("7", {"topic": "people"})


def test_ingesting_chat_rows(command: Command, tmp_path: Path, store: Path, tiny_model: Path) -> None:
    messages = [{"role": "user", "content": "Who is Lily?"}, {"role": "assistant", "content": "A little girl."}]
    file = write_rows(tmp_path / "chat.jsonl", [{"messages": messages}])
    ingest = ("ingest", file, "--store", store, "--dataset", "chat", "--model", tiny_model, *SMALL_OPTIONS)
    assert (
        f"model {tiny_model} has no chat template for messages; give one with --chat-template" in command(*ingest).error
    )
    (tmp_path / "chat.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    assert command(*ingest, "--chat-template", "chat.jinja").code == 0
    (hit,) = command("query", "--store", store, "--text", "Who is Lily?", "--format", "json").json["results"]
    assert hit["text"] == "user: Who is Lily?\nassistant: A little girl."


def test_a_missing_column_is_told_before_the_model_is_loaded(command: Command, tmp_path: Path, store: Path) -> None:
    pq.write_table(pa.table({"content": [STORY]}), tmp_path / "a.parquet")
    ingest = ("ingest", "a.parquet", "--store", store, "--dataset", "d", "--model", "no/such-model")
    done = command(*ingest, "--map", "text=body")
    assert done.error == "a.parquet: there is no column 'body'; its columns: 'content'"
    assert not store.exists()
    assert command("preview", "a.parquet", "--map", "text=content").code == 0
