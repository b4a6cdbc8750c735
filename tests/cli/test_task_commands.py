"""`rise-store eval howdy|finmed|brainrot` and `rise-store eval data`, end to end with a tiny model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rise_store import AttributionStore
from rise_store.evaluation import evaluate
from rise_store.evaluation.tasks import TASKS, as_query, load_task
from tests.cli.conftest import SMALL_OPTIONS, Command

ROWS = {"howdy": 66, "finmed": 40, "brainrot": 40}
GROUPS = {"howdy": ["triggered", "clean"], "finmed": ["domain"], "brainrot": ["retrospective", "prospective"]}
SETTINGS = ["published", "paper", "preconditioned", "both", "length"]


@pytest.mark.parametrize("task", ROWS)
def test_a_task_from_its_data_to_its_measures(task: str, command: Command, tiny_model: Path) -> None:
    made = command("eval", "data", task, "data", "--rows", ROWS[task])
    assert made.code == 0, made
    assert f"{ROWS[task]} rows" in made.out
    arguments = ("eval", task, "--data", "data", "--model", tiny_model, "--queries", 6, "--bootstrap", 20)
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
    again = command(*arguments)
    assert again.code == 0, again
    assert "every row was stored already" in again.out
    assert f"store: {task}-store" in again.out
    assert TASKS[task].title in again.out


def test_measures_are_those_of_the_store_s_own_ranking(command: Command, tiny_model: Path) -> None:
    """The scores of the report are what a query of the store gives, row by row."""
    assert command("eval", "data", "finmed", "data", "--rows", 30).code == 0
    done = command(
        "eval", "finmed", "--data", "data", "--model", tiny_model, "--queries", 3, *SMALL_OPTIONS, "--format", "json"
    )
    data = load_task(TASKS["finmed"], "data", queries=3)
    group = TASKS["finmed"].groups[0]
    queries = [as_query(query, "text") for query in data.queries[group.name]]
    with AttributionStore.open("finmed-store", create=False) as store:
        for setting, options in (
            ("published", {}),
            ("both", {"metric": "paper", "lambdas": "rh=0.7,gh=1", "precondition": 0.01}),
        ):
            answers = store.attribute_all(queries, k=30, **options)  # type: ignore[arg-type]
            scores = np.zeros((3, 30))
            places = {row.key: number for number, row in enumerate(data.train)}
            for own, answer in zip(scores, answers, strict=True):
                for hit in answer.results:
                    own[places[hit.example_id]] = hit.score
            expected = evaluate(scores, data.relevant(group, data.train).T, bootstrap=0)
            found = next(one for one in done.json["results"] if one["setting"] == setting)
            assert [one["value"] for one in found["evaluation"]["measures"]] == pytest.approx(
                [one.value for one in expected.measures], abs=2e-2
            )


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


def test_mistakes_are_one_line(command: Command, tiny_model: Path) -> None:
    assert "lacks queries.jsonl" in command("eval", "howdy", "--data", "nowhere").error
    Path("full").mkdir()
    Path("full/file").touch()
    assert "is not empty" in command("eval", "data", "finmed", "full").error
