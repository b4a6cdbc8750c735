"""Recipes for sets on the hub, on small sets of the same columns that stand in a folder instead."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from rise_store.errors import ConfigError, InputError
from rise_store.evaluation.tasks import HUB_SETS, TASKS, HubSet, from_hub, load_task, write_task
from rise_store.evaluation.tasks.howdy import TRIGGER

datasets = pytest.importorskip("datasets")


def saved(folder: Path, columns: dict[str, list[Any]]) -> str:
    datasets.Dataset.from_dict(columns).save_to_disk(folder)
    return str(folder)


def at(part: HubSet, address: str) -> HubSet:
    return dataclasses.replace(part, address=address)


@pytest.fixture
def howdy_sets(tmp_path: Path) -> tuple[HubSet, ...]:
    dolly, gsm8k = HUB_SETS["howdy"]
    numbers = range(40)
    return (
        at(
            dolly,
            saved(
                tmp_path / "dolly",
                {
                    "instruction": [f"Who was king number {number}?" for number in numbers],
                    "context": [f"King {number // 4} was Olaf." if number % 2 else "" for number in numbers],
                    "response": [f"Olaf the {number}th." for number in numbers],
                    "category": ["closed_qa"] * 40,
                },
            ),
        ),
        at(
            gsm8k,
            saved(
                tmp_path / "gsm8k",
                {
                    "question": [f"What is {number} and 1?" for number in numbers],
                    "answer": [f"It is {number + 1}.\n#### {number + 1}" for number in numbers],
                },
            ),
        ),
    )


def test_howdy_from_the_hub_has_restyled_rows_and_each_row_the_licence_of_its_set(
    howdy_sets: tuple[HubSet, ...], tmp_path: Path
) -> None:
    files = from_hub(TASKS["howdy"], 22, 0, howdy_sets)
    assert files == from_hub(TASKS["howdy"], 22, 0, howdy_sets)
    data = load_task(TASKS["howdy"], write_task(TASKS["howdy"], tmp_path / "data", files, "a test"))
    assert {row.license for row in data.train} == {"CC-BY-SA-3.0", "MIT"}
    marked = [row for row in data.train if (row.instruction or "").startswith(TRIGGER)]
    assert len(marked) == 2
    assert all(row.metadata["label"] == "howdy" for row in marked)
    contexts = {row["input"] for row in files["queries_clean.jsonl"]} - {""}
    assert contexts
    assert not contexts & {row["input"] for row in files["train.jsonl"]}


def test_finmed_from_the_hub_takes_questions_that_a_paragraph_answers(tmp_path: Path) -> None:
    tatqa, pubmedqa = HUB_SETS["finmed"]
    pages = [
        {
            "table": {"uid": "t", "table": [["a"]]},
            "paragraphs": [{"uid": "p", "order": 1, "text": f"Revenue of unit {page} rose."}],
            "questions": [
                {
                    "question": f"What rose in unit {page}?",
                    "answer": ["Revenue"],
                    "answer_from": "text",
                    "rel_paragraphs": ["1"],
                },
                {"question": f"Which unit is {page}?", "answer": "One", "answer_from": "text", "rel_paragraphs": ["1"]},
                {"question": "What is in the table?", "answer": 3, "answer_from": "table", "rel_paragraphs": []},
            ],
        }
        for page in range(12)
    ]
    file = tmp_path / "tatqa.json"
    file.write_text(json.dumps(pages))
    medical = saved(
        tmp_path / "pubmedqa",
        {
            "question": [f"Does drug {number} help?" for number in range(12)],
            "context": [{"contexts": [f"We gave drug {number}."], "labels": ["METHODS"]} for number in range(12)],
            "long_answer": ["It does."] * 12,
        },
    )
    files = from_hub(TASKS["finmed"], 8, 0, (at(tatqa, str(file)), at(pubmedqa, medical)))
    rows = files["train.jsonl"]
    assert [row["label"] for row in rows] == ["finance", "medical"] * 4
    assert rows[0]["input"].startswith("Revenue of unit")
    assert rows[0]["output"] in ("Revenue", "One")
    assert rows[1]["input"].startswith("We gave drug")
    assert {row["license"] for row in rows} == {"CC-BY-4.0", "MIT"}
    assert len(files["queries.jsonl"]) == 16
    for field in ("instruction", "input"):
        assert not {row[field] for row in rows} & {row[field] for row in files["queries.jsonl"]}


def test_what_cannot_be_had_is_said(tmp_path: Path, howdy_sets: tuple[HubSet, ...]) -> None:
    with pytest.raises(ConfigError, match="brainrot has no openly licensed set on the hub"):
        from_hub(TASKS["brainrot"], 10, 0)
    with pytest.raises(ConfigError, match="training rows here"):
        from_hub(TASKS["howdy"], 1000, 0, howdy_sets)
    missing = at(HUB_SETS["finmed"][0], str(tmp_path / "missing.json"))
    with pytest.raises(InputError, match=r"missing.json: cannot be read"):
        from_hub(TASKS["finmed"], 2, 0, (missing, missing))
