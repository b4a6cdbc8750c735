"""`rise-store query` and its formats."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows

TEXT = story_rows(12)[3]["text"]


def check_result(result: dict[str, Any], hits: int) -> None:
    """One answer has the shape that the documentation promises."""
    assert list(result)[:2] in (["query", "results"], ["results", "query"])
    assert len(result["results"]) == hits
    for rank, hit in enumerate(result["results"], 1):
        assert {"rank", "score", "channels", "example_id", "dataset", "license", "text", "metadata"} <= set(hit)
        assert hit["rank"] == rank
        assert set(hit["channels"]) == {"rh", "gh"}
        assert hit["channels"]["rh"] + hit["channels"]["gh"] == pytest.approx(hit["score"], abs=1e-6)
        assert isinstance(hit["metadata"], dict)


def test_one_query_as_json_is_one_object(command: Command, library: Path) -> None:
    done = command("query", "--store", library, "--text", TEXT, "-k", "3", "--format", "json")
    assert (done.code, done.err) == (0, "")
    check_result(done.json, 3)
    best = done.json["results"][0]
    assert best["score"] == pytest.approx(1, abs=1e-3)
    assert (best["example_id"], best["dataset"], best["license"]) == ("row-3", "tales", "CC0-1.0")
    assert (best["text"], best["metadata"]) == (TEXT, {"page": 3, "draft": True})
    assert done.json["query"]["text"] == TEXT


def test_a_file_of_queries_as_json_is_a_list(command: Command, library: Path) -> None:
    queries = [{"id": "text", "text": TEXT}, {"id": "pair", "prompt": "Who?", "completion": " Lily."}]
    query = ("query", "--store", library, "-k", "2", "--format", "json", "--file")
    done = command(*query, write_rows(Path("queries.jsonl"), queries))
    assert [result["query"]["id"] for result in done.json] == ["text", "pair"]
    for result in done.json:
        check_result(result, 2)
    (alone,) = command(*query, write_rows(Path("one.jsonl"), queries[:1])).json
    check_result(alone, 2)


def test_a_file_of_queries_as_jsonl_is_an_object_a_line(command: Command, library: Path) -> None:
    file = write_rows(Path("queries.jsonl"), [{"text": TEXT}, {"prompt": "Who?", "generation": " Lily."}])
    done = command("query", "--store", library, "-k", "2", "--format", "jsonl", "--file", file)
    lines = done.out.splitlines()
    assert len(lines) == 2
    for line in lines:
        check_result(orjson.loads(line), 2)


def test_queries_as_csv_are_a_row_a_hit(command: Command, library: Path) -> None:
    file = write_rows(Path("queries.jsonl"), [{"id": "first", "text": TEXT}, {"text": 'A, "quoted"\nline'}])
    done = command("query", "--store", library, "-k", "3", "--format", "csv", "--file", file)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["query"], row["rank"]) for row in rows] == [(q, str(k)) for q in ("first", "2") for k in (1, 2, 3)]
    best = rows[0]
    assert (best["example_id"], best["dataset"], best["license"], best["text"]) == ("row-3", "tales", "CC0-1.0", TEXT)
    assert orjson.loads(best["metadata"]) == {"page": 3, "draft": True}
    for row in rows:
        assert float(row["rh"]) + float(row["gh"]) == pytest.approx(float(row["score"]), abs=1e-6)


def test_the_table_shows_rank_score_shares_and_where_it_is_from(command: Command, library: Path) -> None:
    done = command("query", "--store", library, "--text", TEXT, "-k", "2")
    lines = done.out.splitlines()
    assert lines[0] == TEXT
    assert lines[1].split() == ["#", "score", "RH", "GH", "dataset", "licence", "example", "text"]
    rank, score, rh, gh, dataset, licence, example, *text = lines[2].split()
    assert (rank, dataset, licence, example) == ("1", "tales", "CC0-1.0", "row-3")
    assert float(score) == pytest.approx(1, abs=1e-3)
    assert int(rh.rstrip("%")) + int(gh.rstrip("%")) == 100
    assert " ".join(text)[:20] == TEXT[:20]
    assert lines[4].startswith("2 of 12 examples")


def test_a_text_of_many_lines_is_one_line_of_the_table(command: Command, library: Path) -> None:
    done = command("query", "--store", library, "--text", "A\n\nkey\n[bold]opens[/bold] it.", "-k", "1")
    assert done.out.splitlines()[0] == "A key [bold]opens[/bold] it."


def test_weights_and_filters(command: Command, library: Path) -> None:
    done = command(
        *("query", "--store", library, "--text", TEXT, "-k", "9", "--format", "json"),
        *("--weights", "rh=1,gh=0", "--where", "license=MIT", "--where", "dataset=tales"),
    )
    assert {hit["license"] for hit in done.json["results"]} == {"MIT"}
    assert [hit["channels"]["gh"] for hit in done.json["results"]] == pytest.approx([0] * 4, abs=1e-6)
    assert (done.json["candidates"], len(done.json["results"])) == (4, 4)
    assert done.json["where"] == "license = MIT and dataset = tales"
    assert done.json["weights"] == {"rh": 1.0, "gh": 0.0}


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv"])
def test_no_hits_are_no_error(command: Command, library: Path, format_: str) -> None:
    done = command(
        "query", "--store", library, "--text", TEXT, "-k", "3", "--where", "license=GPL", "--format", format_
    )
    assert (done.code, done.err) == (0, "")
    assert done.out


def test_the_completion_is_what_is_asked_about(command: Command, library: Path) -> None:
    query = ("query", "--store", library, "-k", "3", "--format", "json")
    done = command(*query, "--prompt", "Who found it?", "--completion", " The dog.")
    assert done.json["query"] == {"id": "", "text": None, "prompt": "Who found it?", "completion": " The dog."}
    whole = command(*query, "--text", "Who found it? The dog.")
    assert done.json["results"][0]["score"] != whole.json["results"][0]["score"]


def test_queries_can_come_from_standard_input(command: Command, library: Path) -> None:
    query = ("query", "--store", library, "-k", "1", "--format", "json", "--file", "-")
    (result,) = command(*query, stdin=orjson.dumps({"text": TEXT})).json
    assert result["results"][0]["example_id"] == "row-3"


def test_the_model_may_have_moved(command: Command, store: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, "model")
    write_rows(Path("stories.jsonl"), story_rows(2))
    command("ingest", "stories.jsonl", "--store", store, "--model", "model", "--dataset", "tales", *SMALL_OPTIONS)
    gone = Path("model").resolve()
    gone.rename("moved")
    query = ("query", "--store", store, "--text", TEXT, "-k", "1", "--format", "json")
    error = command(*query).error
    assert str(gone) in error
    assert "--model" in error
    assert command(*query, "--model", "moved").json["results"]
