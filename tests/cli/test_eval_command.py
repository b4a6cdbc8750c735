"""`rise-store eval` and `rise-store calibrate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rise_store.evaluation import evaluate
from tests.cli.conftest import SMALL_OPTIONS, Command, run_command
from tests.ingest.examples import Row, quick_folder, story_rows, write_rows


def asked(count: int = 5) -> list[Row]:
    """Queries on pages that are not stored, of the sentences that are."""
    return [{"id": f"q{number}", "text": story_rows(1, 40 + number)[0]["text"]} for number in range(count)]


@pytest.fixture
def labelled() -> Path:
    return write_rows(Path("labelled.jsonl"), [row | {"relevant": "license = MIT"} for row in asked()])


def test_a_store_as_a_table(command: Command, library: Path, labelled: Path) -> None:
    done = command("eval", "store", "--store", library, "--labelled", labelled, "-k", "3")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["measure", "mean", "95%", "interval"]
    assert [line.split()[0] for line in lines[1:6]] == [
        *("auprc@3", "auroc@3", "precision@3", "average_precision", "auroc")
    ]
    assert lines[6] == "5 queries, 12 examples, 6.0 relevant a query; metric dot, weights rh=1,gh=1"


def test_a_store_ranks_as_its_queries_do(command: Command, library: Path, labelled: Path) -> None:
    options = ("--where", "page < 10", "--metric", "cosine", "--precondition", "0.1")
    found = command(
        *("eval", "store", "--store", library, "--labelled", labelled, "--format", "json", "-k", "3"), *options
    ).json
    assert (found["rows"], found["positives"], found["where"]) == (10, 5, "page < 10")
    assert (found["metric"], found["precondition"], found["query_ids"]) == ("cosine", 0.1, [f"q{n}" for n in range(5)])
    answers = command(
        *("query", "--store", library, "--file", write_rows(Path("q.jsonl"), asked()), "-k", "10", "--format", "json"),
        *options,
    ).json
    scores = [[hit["score"] for hit in answer["results"]] for answer in answers]
    relevant = [[hit["license"] == "MIT" for hit in answer["results"]] for answer in answers]
    expected = evaluate(np.array(scores), np.array(relevant), ks=(3,))
    for measured, own in zip(found["measures"], expected.measures, strict=True):
        assert (measured["name"], measured["k"]) == (own.name, own.k)
        assert measured["value"] == pytest.approx(own.value)


def test_labels_of_a_field_and_other_formats(command: Command, library: Path) -> None:
    file = write_rows(Path("l.jsonl"), [row | {"label": ("tales", "notes")[n % 2]} for n, row in enumerate(asked(3))])
    options = ("eval", "store", "--store", library, "--labelled", file, "--label-field", "dataset", "-k", "3")
    lines = command(*options, "--format", "csv").out.splitlines()
    assert lines[0] == "measure,k,value,low,high"
    assert [line.split(",")[:2] for line in lines[1:]] == [
        *(["auprc", "3"], ["auroc", "3"], ["precision", "3"], ["average_precision", ""], ["auroc", ""])
    ]
    rows = command(*options, "--format", "jsonl").out.splitlines()
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"relevant": "license = GPL"}, (), "labelled.jsonl:6: no example that is ranked for it is relevant"),
        ({"relevant": ["nobody"]}, (), "labelled.jsonl:6: relevant names 'nobody', but no stored example has this id"),
        ({"relevant": "licence = MIT"}, (), "labelled.jsonl:6: no stored example has the field"),
        ({}, (), 'labelled.jsonl:6: "relevant" is missing'),
        ({"relevant": "license = MIT"}, ("-k", "0"), "K is 0"),
        (
            {"relevant": "license = MIT", "label": "tales"},
            ("--label-field", "dataset"),
            'labelled.jsonl: every query has "relevant" of its own, so the label field dataset changes nothing',
        ),
        ({"relevant": "license = MIT"}, ("--preset", "none"), "the store has no preset 'none'"),
    ],
)
def test_errors(
    command: Command, library: Path, labelled: Path, row: Row, options: tuple[str, ...], message: str
) -> None:
    rows = [row | {"relevant": "license = MIT"} for row in asked()]
    write_rows(labelled, [*rows, {"text": "A tale of Lily."} | row])
    assert message in command("eval", "store", "--store", library, "--labelled", labelled, *options).error


def test_score_files(command: Command) -> None:
    rows = [
        {"query": f"q{query}", "example": f"e{row}", "score": -row, "relevant": row in (0, query)}
        for query in range(1, 4)
        for row in range(8)
    ]
    better = write_rows(Path("better.jsonl"), rows)
    worse = write_rows(Path("worse.jsonl"), [row | {"score": -row["score"]} for row in rows])
    table = command("eval", "scores", better, "-k", "2").out.splitlines()
    assert table[1].split()[:2] == ["auprc@2", "1.0000"]
    assert table[-1] == "3 queries, 8 examples, 2.0 relevant a query"
    ahead = command("eval", "scores", better, "--baseline", worse, "-k", "2").out.splitlines()
    assert ahead[0].split() == ["measure", "ahead", "by", "95%", "interval"]
    assert ahead[1].split()[1].startswith("+0.")
    differences = command("eval", "scores", better, "--baseline", worse, "--format", "json").json
    assert all(one["queries"] == 3 and one["low"] <= one["value"] <= one["high"] for one in differences)
    write_rows(worse, rows[1:])
    assert "do not score the same examples (8 and 7)" in command("eval", "scores", better, "--baseline", worse).error
    write_rows(worse, rows[8:])
    assert "not of the same queries" in command("eval", "scores", better, "--baseline", worse).error
    for file in ("none.npz", "none.jsonl"):
        assert command("eval", "scores", file).error == f"{file}: no such file; check the path"


def test_one_class_is_told_of(command: Command) -> None:
    rows = [{"query": "q", "example": row, "score": row, "relevant": False} for row in range(4)]
    done = command("eval", "scores", write_rows(Path("s.jsonl"), rows), "-k", "1")
    assert done.out.splitlines()[2].split() == ["auroc@1", "-", "-"]
    assert "auroc leaves out up to 1 queries whose examples are all of one class" in done.out


@pytest.fixture(scope="module")
def two_spaces(tiny_model: Path) -> Iterator[Path]:
    """A store with the same stories at two temperatures."""
    with quick_folder() as folder:
        file = write_rows(folder / "tales.jsonl", story_rows(16))
        ingest = ("ingest", file, "--store", folder / "store", "--model", tiny_model, "--dataset", "tales")
        assert run_command(*ingest, *SMALL_OPTIONS).code == 0
        assert run_command(*ingest, *SMALL_OPTIONS, "--estimator", "tau=1", "--new-space").code == 0
        yield folder / "store"


def test_calibration_tries_every_space_and_saves_a_preset(command: Command, two_spaces: Path) -> None:
    rows = [row | {"relevant": [f"row-{number}", f"row-{number + 8}"]} for number, row in enumerate(asked(6))]
    file = write_rows(Path("labelled.jsonl"), rows)
    calibrate = ("calibrate", "--store", two_spaces, "--labelled", file)
    report = command(*calibrate, "--save", "tuned", "--format", "json").json
    assert (report["measure"], report["k"], report["queries"], report["rows"]) == ("average_precision", None, 6, 16)
    assert (len(report["spaces"]), len(report["folds"])) == (2, 5)
    assert report["default"]["space"] == report["spaces"][0]
    assert report["held_out_value"] - report["default_value"] == pytest.approx(report["gain"]["value"])
    assert report["chosen"] == (report["candidate"] if report["gain"]["low"] > 0 else report["default"])
    assert report["preset"]["note"].startswith("calibrated with 6 queries: average_precision")
    chosen = report["chosen"]
    answer = command(
        *("query", "--store", two_spaces, "--preset", "tuned", "--format", "json"),
        *("--text", rows[0]["text"]),
    ).json
    assert answer["space"] == chosen["space"]
    assert [answer[name] for name in ("metric", "weights", "lambdas", "precondition", "preset")] == [
        *(chosen[name] for name in ("metric", "weights", "lambdas", "precondition")),
        "tuned",
    ]
    one = command(*calibrate, "--space", report["spaces"][1][:8], "--measure", "auprc@2", "--format", "json").json
    assert (one["measure"], one["k"], one["spaces"], one["preset"]) == ("auprc", 2, [report["spaces"][1]], None)
    assert one["tried"] == report["tried"] / 2
    again = command(*calibrate, "--space", report["spaces"][1][:8], "--measure", "auprc@2", "--format", "json").json
    assert again == one


def test_a_preset_is_asked_in_its_own_space(command: Command, two_spaces: Path) -> None:
    spaces = [
        one["space"]["fingerprint"] for one in command("info", "--store", two_spaces, "--format", "json").json["spaces"]
    ]
    for number, space in enumerate(spaces):
        name = f"of-space-{number}"
        saved = command("presets", "--store", two_spaces, "--space", space, "--save", name, "--metric", "cosine")
        assert saved.code == 0, saved
        tail = ("--store", two_spaces, "--preset", name, "--format", "json")
        query = ("--text", "A tale of Lily and her dog.")
        assert command("query", *query, *tail).json["space"] == space
        assert command("query", *query, *tail, "--group-by", "dataset").json["space"] == space
        assert [one["space"] for one in command("explain", *query, "-k", "1", *tail).json] == [space]
        targets = ("--targets", write_rows(Path("targets.jsonl"), asked(1)))
        assert command("value", *targets, *tail).code == 0
        assert command("select", *targets, "-k", "2", *tail).json["space"] == space
        labelled = write_rows(Path("labelled.jsonl"), [asked(1)[0] | {"relevant": ["row-1"]}])
        assert command("eval", "store", "--labelled", labelled, *tail).json["space"] == space
    refused = command("query", *query, *tail, "--space", spaces[0]).error
    assert f"preset {name} was chosen for space {spaces[1]}" in refused


def test_a_missing_extra_is_told_before_a_model_is_loaded(
    command: Command, library: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    options = ("--store", library, "--labelled", labelled)
    missing = "pip install 'rise-store[eval]'"
    assert missing in command("eval", "store", *options, "--model", "no-model").error
    assert missing in command("calibrate", *options, "--model", "no-model", "--measure", "auroc").error
    assert command("calibrate", *options).code == 0, "average precision needs no scikit-learn"


def test_calibration_as_a_table(command: Command, library: Path, labelled: Path) -> None:
    done = command("calibrate", "--store", library, "--labelled", labelled, "--save", "mine", "--folds", "3")
    assert done.code == 0
    assert done.err.startswith("note: 5 queries are few: the interval of the gain is narrower than it ought to be")
    assert done.err.count("\n") == 1
    lines = done.out.splitlines()
    assert lines[0].split()[:5] == ["fold", "queries", "default", "held", "out"]
    assert [line.split()[:2] for line in lines[1:4]] == [["1", "2"], ["2", "2"], ["3", "1"]]
    assert lines[4].startswith("average_precision of 5 queries over 12 examples: 0.")
    assert "settings tried; " in lines[5]
    assert lines[6].startswith("chosen: metric ")
    assert lines[7].startswith("because: ")
    assert lines[8] == "saved as preset mine; use it with --preset mine"
    command("presets", "--store", library, "--delete", "mine")  # other tests read this store


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (3, (), "calibration needs 4 labelled queries at least, and there are 3"),
        (4, ("--folds", "1"), "folds is 1; give at least 2"),
        (4, ("--measure", "recall"), "'recall' is no measure to choose by"),
        (4, ("--save", "a b"), "preset 'a b' name:"),
        (4, ("--where", "license = MIT"), "labelled.jsonl:1: every example that is ranked for it is relevant"),
        (4, ("--where", "license = CC0-1.0"), "labelled.jsonl:1: no example that is ranked for it is relevant"),
    ],
)
def test_calibration_errors(
    command: Command, library: Path, count: int, options: tuple[str, ...], message: str
) -> None:
    file = write_rows(Path("labelled.jsonl"), [row | {"relevant": "license = MIT"} for row in asked(count)])
    assert message in command("calibrate", "--store", library, "--labelled", file, *options).error
