"""`rise-store eval howdy|finmed|brainrot` and `rise-store eval data`, end to end with a tiny model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rise_store.evaluation.tasks import TASKS
from tests.cli.conftest import SMALL_OPTIONS, Command

ROWS = {"howdy": 66, "finmed": 40, "brainrot": 40}
GROUPS = {"howdy": ["triggered", "clean"], "finmed": ["domain"], "brainrot": ["retrospective", "prospective"]}
SETTINGS = ["published", "paper", "preconditioned", "both", "length"]


@pytest.mark.parametrize("task", ROWS)
def test_a_task_from_its_data_to_its_measures(task: str, command: Command, tiny_model: Path) -> None:
    made = command("eval", "data", task, "data", "--rows", ROWS[task])
    assert made.code == 0, made
    assert f"{ROWS[task]} rows" in made.out
    assert made.out.endswith(f"\nWritten to data. Next: rise-store eval {task} --data data\n")
    arguments = ("eval", task, "--data", "data", "--model", tiny_model, "--queries", 6, "--bootstrap", 10)
    arguments = (*arguments, *SMALL_OPTIONS)
    first = command(*arguments, "--format", "json")
    assert first.code == 0, first
    report = first.json
    assert report["data"]["rows"] == ROWS[task]
    assert sum(report["data"]["licenses"].values()) == ROWS[task] + 6 * len(TASKS[task].groups)
    assert [(one["queries"], one["setting"]) for one in report["results"]] == [
        (group, setting) for group in GROUPS[task] for setting in SETTINGS
    ]
    for result in report["results"]:
        for measure in result["evaluation"]["measures"]:
            assert 0 <= measure["low"] <= measure["value"] + 1e-9 or measure["value"] is None


def test_a_second_run_encodes_no_rows(command: Command, tiny_model: Path) -> None:
    assert command("eval", "data", "brainrot", "data", "--rows", 20, "--seed", 3).code == 0
    arguments = ("eval", "brainrot", "--data", "data", "--model", tiny_model, "--queries", 4, "--bootstrap", 5)
    assert command(*arguments, *SMALL_OPTIONS).code == 0
    again = command(*arguments, *SMALL_OPTIONS)
    assert again.code == 0, again
    assert "every row was stored already" in again.out
    assert "store: brainrot-store" in again.out
    assert not set(again.out) & set("━┏┃─│")
    assert "prospective: the mean of 4 queries, right are quality rows" in again.out


def test_the_queries_of_a_task_are_labelled_queries_of_its_store(command: Command, tiny_model: Path) -> None:
    """`rise-store eval store`, which knows nothing of tasks, measures the same."""
    assert command("eval", "data", "finmed", "data", "--rows", 30).code == 0
    options = ("--bootstrap", 0, "--format", "json")
    done = command("eval", "finmed", "--data", "data", "--model", tiny_model, "--queries", 4, *SMALL_OPTIONS, *options)
    assert done.code == 0, done
    lines = Path("data/queries.jsonl").read_text().splitlines(keepends=True)
    Path("labelled.jsonl").write_text("".join(lines[:4]))
    for setting, scoring in (
        ("published", ()),
        ("both", ("--metric", "paper", "--lambdas", "rh=0.7,gh=1", "--precondition", "0.01")),
    ):
        labelled = ("--labelled", "labelled.jsonl", "--label-field", "metadata.label")
        expected = command("eval", "store", "--store", "finmed-store", *labelled, *scoring, *options)
        assert expected.code == 0, expected
        found = next(one for one in done.json["results"] if one["setting"] == setting)
        for ours, theirs in zip(found["evaluation"]["measures"], expected.json["measures"], strict=True):
            assert (ours["name"], ours["k"]) == (theirs["name"], theirs["k"])
            assert ours["value"] == pytest.approx(theirs["value"], abs=1e-6)


def test_other_settings_make_another_space_of_the_same_store(command: Command, tiny_model: Path) -> None:
    assert command("eval", "data", "howdy", "data", "--rows", 22).code == 0
    arguments = ("eval", "howdy", "--data", "data", "--model", tiny_model, "--queries", 2, "--bootstrap", 0)
    arguments = (*arguments, "--setting", "published", *SMALL_OPTIONS, "--format", "json")
    spaces = set()
    for weighting in ("uniform", "residual"):
        done = command(*arguments, "--position-weighting", weighting)
        assert done.code == 0, done
        assert done.json["estimator"]["position_weighting"] == weighting
        assert {one["setting"] for one in done.json["results"]} == {"published", "length"}
        spaces.add(done.json["space"])
    assert len(spaces) == 2
    fewer = command(*arguments, "--rows", 11, "--query-form", "completion")
    assert fewer.json["data"]["rows"] == 11
    assert fewer.json["tokens"] == 0


def test_completions_of_queries_that_have_none_are_refused_before_any_work(command: Command, tiny_model: Path) -> None:
    assert command("eval", "data", "brainrot", "data", "--rows", 20).code == 0
    arguments = ("eval", "brainrot", "--data", "data", "--query-form", "completion", "--model", tiny_model)
    assert "no query of brainrot's group retrospective has a completion" in command(*arguments).error


@pytest.mark.parametrize("task", ROWS)
def test_help_states_what_is_done_without_an_option(task: str, command: Command) -> None:
    text = " ".join(command("eval", task, "--help").out.split())
    assert "[default: as published]" in text
    assert "the store's, else bfloat16 where the machine is much faster at it, else float32]" in text
    assert "[default: the store's, else as published]" not in text
    assert "[default: the store's, else float32]" not in text


def test_a_missing_extra_is_told_before_any_work(
    command: Command, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("eval", "data", "howdy", "data", "--rows", 22).code == 0
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    assert "pip install 'rise-store[eval]'" in command("eval", "howdy", "--data", "data", "--model", "no-model").error


def test_mistakes_are_one_line(command: Command, tiny_model: Path) -> None:
    assert "lacks queries.jsonl" in command("eval", "howdy", "--data", "nowhere").error
    Path("full").mkdir()
    Path("full/file").touch()
    assert "is not empty" in command("eval", "data", "finmed", "full").error
