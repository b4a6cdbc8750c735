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
    assert done.json["query"] == {
        **{"id": "", "text": None, "prompt": "Who found it?", "completion": " The dog."},
        **{"against": None, "against_prompt": None, "where": None, "k": None},
    }
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


def test_pages_and_least_scores(command: Command, library: Path) -> None:
    query = ("query", "--store", library, "--text", TEXT, "--format", "json")
    whole = command(*query, "-k", "12").json["results"]
    page = command(*query, "-k", "4", "--offset", "4").json
    assert [hit["rank"] for hit in page["results"]] == [5, 6, 7, 8]
    assert [hit["example_id"] for hit in page["results"]] == [hit["example_id"] for hit in whole[4:8]]
    assert page["offset"] == 4
    least = command(*query, "-k", "12", "--min-score", whole[2]["score"] - 1e-6).json
    assert [hit["example_id"] for hit in least["results"]] == [hit["example_id"] for hit in whole[:3]]


@pytest.mark.parametrize(
    ("options", "best", "note"),
    [
        (("--metric", "cosine"), 2, "metric cosine"),
        (("--metric", "cosine", "--weights", "rh=1,gh=0"), 1, "metric cosine"),
        (("--metric", "paper"), 1, "metric paper (rh=1,gh=0.3)"),
        (("--metric", "paper", "--lambdas", "rh=0.5,gh=2"), 1, "metric paper (rh=0.5,gh=2)"),
    ],
)
def test_metrics(command: Command, library: Path, options: tuple[str, ...], best: float, note: str) -> None:
    query = ("query", "--store", library, "--text", TEXT, "-k", "3", *options)
    result = command(*query, "--format", "json").json
    assert result["results"][0]["example_id"] == "row-3"
    assert result["results"][0]["score"] == pytest.approx(best, abs=2e-3)
    check_result(result, 3)
    assert result["metric"] == options[1]
    assert result["approximate"] is None
    assert f"3 of 12 examples, {note};" in command(*query).out


def test_queries_of_a_file_have_filters_and_lengths_of_their_own(command: Command, library: Path) -> None:
    queries = [{"text": TEXT, "where": "license=MIT"}, {"text": TEXT, "k": 2}, {"text": TEXT}]
    done = command(
        *("query", "--store", library, "--where", "dataset=tales", "-k", "12", "--format", "json"),
        *("--file", write_rows(Path("queries.jsonl"), queries)),
    )
    assert [len(result["results"]) for result in done.json] == [4, 2, 8]
    assert {(hit["dataset"], hit["license"]) for hit in done.json[0]["results"]} == {("tales", "MIT")}
    assert [result["candidates"] for result in done.json] == [4, 8, 8]
    assert [result["query"]["k"] for result in done.json] == [None, 2, None]


class TestGroups:
    def test_as_json(self, command: Command, library: Path) -> None:
        query = ("query", "--store", library, "--text", TEXT, "--format", "json")
        answer = command(*query, "--group-by", "license", "--group-over", "all").json
        scores = command(*query, "-k", "12").json["results"]
        total = sum(max(hit["score"], 0) for hit in scores)
        assert (answer["by"], answer["rows"], answer["candidates"]) == ("license", 12, 12)
        assert sum(group["share"] for group in answer["groups"]) == pytest.approx(1)
        for group in answer["groups"]:
            own = [hit["score"] for hit in scores if hit["license"] == group["group"]]
            assert (group["rows"], group["share"]) == (6, pytest.approx(sum(s for s in own if s > 0) / total))
        (over_4,) = [command(*query, "--group-by", "dataset", "--group-over", "4").json]
        assert over_4["rows"] == sum(group["rows"] for group in over_4["groups"]) == 4

    def test_as_a_table(self, command: Command, library: Path) -> None:
        done = command("query", "--store", library, "--text", TEXT, "--group-by", "draft", "--where", "dataset=tales")
        lines = done.out.splitlines()
        assert lines[0] == TEXT
        assert lines[1].split() == ["share", "examples", "positive", "negative", "metadata.draft"]
        assert {line.split()[-1]: line.split()[1] for line in lines[2:4]} == {"true": "1", "false": "7"}
        assert sum(float(line.split()[0].rstrip("%")) for line in lines[2:4]) == pytest.approx(100, abs=0.1)
        assert lines[4].startswith(
            "share of the positive scores of 8 of 8 examples where dataset = tales; their negative"
        )

    def test_as_jsonl_and_csv(self, command: Command, library: Path) -> None:
        file = write_rows(Path("queries.jsonl"), [{"id": "first", "text": TEXT}, {"text": "A key."}])
        query = ("query", "--store", library, "--file", file, "--group-by", "dataset", "--format")
        lines = [orjson.loads(line) for line in command(*query, "jsonl").out.splitlines()]
        rows = list(csv.DictReader(io.StringIO(command(*query, "csv").out)))
        assert [line["query"]["id"] for line in lines] == ["first", ""]
        assert [row["query"] for row in rows] == ["first", "first", "2", "2"]
        groups = [group for line in lines for group in line["groups"]]
        assert [row["group"] for row in rows] == [group["group"] for group in groups]
        assert [float(row["share"]) for row in rows] == pytest.approx([group["share"] for group in groups])
        assert len(command(*query, "json").json) == 2
