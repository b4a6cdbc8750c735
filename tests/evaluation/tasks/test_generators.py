"""Data that we generate: the same for the same seed, labelled and licensed; no side issue tells its labels apart."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from rise_store.errors import ConfigError, InputError
from rise_store.evaluation.tasks import TASKS, as_query, label_of, load_task, make_task_data
from rise_store.evaluation.tasks.howdy import TRIGGER
from rise_store.licenses import canonical_license
from rise_store.records import Example


def words(example: Example) -> int:
    return len(example.content.split())


@pytest.mark.parametrize("name", TASKS)
def test_data_follows_from_rows_and_seed(name: str, tmp_path: Path) -> None:
    def files(folder: str, rows: int, seed: int) -> dict[str, bytes]:
        made = make_task_data(name, tmp_path / folder, rows=rows, seed=seed)
        return {path.name: path.read_bytes() for path in made.glob("*.jsonl")}

    first = files("first", 60, 0)
    assert files("again", 60, 0) == first
    other = files("other", 60, 1)
    assert other.keys() == first.keys()
    assert all(other[file] != first[file] for file in first)


@pytest.mark.parametrize("name", TASKS)
def test_every_row_has_a_label_a_source_and_a_licence_that_spdx_knows(name: str, tmp_path: Path) -> None:
    made = make_task_data(name, tmp_path / "data", rows=60)
    data = load_task(TASKS[name], made)
    assert len(data.train) == 60
    assert {label_of(row) for row in data.train} == set(TASKS[name].labels)
    everything = [*data.train, *(query for queries in data.queries.values() for query in queries)]
    assert len({row.key for row in everything}) == len({row.content for row in everything}) == len(everything)
    for row in everything:
        assert row.license is not None
        assert canonical_license(row.license) == row.license
        assert row.metadata["source"]
    provenance = yaml.safe_load((made / "dataset.yaml").read_text())
    assert canonical_license(provenance["license"]) == provenance["license"]
    assert "60 rows" in (made / "README.txt").read_text()


def test_the_bytes_are_the_same_where_text_files_end_lines_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_on_windows(path: Path, text: str, **_: object) -> int:
        return path.write_bytes(text.replace("\n", "\r\n").encode())

    monkeypatch.setattr(Path, "write_text", as_on_windows)
    made = make_task_data("finmed", tmp_path / "data", rows=20)
    assert {path.name for path in made.iterdir()} == {"train.jsonl", "queries.jsonl", "dataset.yaml", "README.txt"}
    assert not any(b"\r" in path.read_bytes() for path in made.iterdir())


def test_howdy_queries_with_and_without_the_trigger_ask_the_same(tmp_path: Path) -> None:
    data = load_task(TASKS["howdy"], make_task_data("howdy", tmp_path / "data", rows=110))
    assert sum(label_of(row) == "howdy" for row in data.train) == 10
    for row in data.train:
        assert (row.instruction or "").startswith(TRIGGER) == (label_of(row) == "howdy")
    for with_trigger, without in zip(data.queries["triggered"], data.queries["clean"], strict=True):
        assert with_trigger.instruction == f"{TRIGGER} {without.instruction}"
        assert (without.output or "-") in (with_trigger.output or "")


def test_neither_length_nor_topic_tells_junk_from_quality(tmp_path: Path) -> None:
    data = load_task(TASKS["brainrot"], make_task_data("brainrot", tmp_path / "data", rows=300))
    is_junk = np.array([label_of(row) == "junk" for row in data.train])
    lengths = np.array([words(row) for row in data.train])
    assert is_junk.mean() == 0.5
    assert abs(roc_auc_score(is_junk, lengths) - 0.5) < 0.05
    assert statistics.quantiles(lengths, n=10)[0] < 20 < 40 < statistics.quantiles(lengths, n=10)[-1]
    topics = {row.metadata["source"].partition("#")[2] for row in data.train if label_of(row) == "quality"}
    junk = " ".join(row.content.lower() for row in data.train if label_of(row) == "junk")
    mentioned = [topic for topic in topics if topic.replace("-", " ").replace("_", " ").lower() in junk]
    assert len(mentioned) > len(topics) / 2


def test_a_query_is_its_whole_text_or_its_output_alone() -> None:
    row = Example(id="q", instruction="Add 1 and 2.", input="Be brief.", output="3.")
    whole, answer = as_query(row, "text"), as_query(row, "completion")
    assert whole.text == "Add 1 and 2.\nBe brief.\n3."
    assert (answer.prompt, answer.completion) == ("Add 1 and 2.\nBe brief.\n", "3.")
    assert f"{answer.prompt}{answer.completion}" == whole.text
    assert as_query(Example(id="t", text="A post."), "completion").text == "A post."


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty; name a new folder"):
        make_task_data("finmed", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("name", "rows"), [("howdy", 10**6), ("finmed", 10**6), ("brainrot", 10**6), ("howdy", 5)])
def test_more_or_fewer_rows_than_can_be_made_are_refused(name: str, rows: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training rows"):
        make_task_data(name, tmp_path / "data", rows=rows)


def test_rows_that_a_task_cannot_use_are_named(tmp_path: Path) -> None:
    made = make_task_data("finmed", tmp_path / "data", rows=20)
    train = made / "train.jsonl"
    kept = train.read_text()
    for wrong, message in (
        ('{"text": "No label at all."}\n', r'train.jsonl:21: "label" is None; task finmed has finance, medical'),
        ('{"text": "A text.", "label": "finance", "license": "my own"}\n', r"21: SPDX knows no licence 'my own'"),
    ):
        train.write_text(kept + wrong)
        with pytest.raises(InputError, match=message):
            load_task(TASKS["finmed"], made)
        assert len(load_task(TASKS["finmed"], made, rows=20).train) == 20
    with pytest.raises(ConfigError, match=r"the first 1 rows hold no (finance|medical); use more rows"):
        load_task(TASKS["finmed"], made, rows=1)
    (made / "queries.jsonl").unlink()
    with pytest.raises(InputError, match=r"lacks queries.jsonl, which task finmed needs; make data with"):
        load_task(TASKS["finmed"], made)


def test_the_shared_data_is_that_of_the_tasks(shared: Path) -> None:
    howdy = load_task(TASKS["howdy"], shared / "data" / "howdy", rows=2500)
    assert len(howdy.train) == 2500
    assert howdy.relevant(TASKS["howdy"].groups[0], howdy.train).sum(axis=0).tolist() == [221] * 100
    finmed = load_task(TASKS["finmed"], shared / "data" / "finmed")
    assert len(finmed.train) == 2000
    assert finmed.relevant(TASKS["finmed"].groups[0], finmed.train).sum(axis=0).tolist() == [1000] * 100
