from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rise_store.corpus import ExampleReader, RejectedRow, open_examples
from rise_store.corpus.formats import HfDataset
from rise_store.corpus.formats.hf_datasets import is_saved_dataset
from rise_store.corpus.mapping import parse_mapping
from rise_store.corpus.sources import RawRow
from rise_store.errors import InputError
from rise_store.records import Example
from tests.corpus.missing_packages import hide

datasets = pytest.importorskip("datasets")

ROWS = [{"text": f"text {number}", "id": f"r{number}", "tags": ["a"]} for number in range(600)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A dataset of one split that has no name."""
    return save(tmp_path / "saved", datasets.Dataset.from_list(ROWS))


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """A dataset of the splits train and test."""
    train, test = datasets.Dataset.from_list(ROWS), datasets.Dataset.from_list(ROWS[:2])
    return save(tmp_path / "splits", datasets.DatasetDict({"train": train, "test": test}))


def save(folder: Path, dataset: Any) -> Path:
    datasets.disable_progress_bars()
    dataset.save_to_disk(str(folder))
    return folder


def refusal(name: object, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        list(ExampleReader([HfDataset(str(name), **options)]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_saved_folder_is_read_row_by_row(saved: Path) -> None:
    source = HfDataset(saved)
    assert source.columns == ("text", "id", "tags")
    reader = ExampleReader([source])
    read = list(reader)
    assert [row.id for row in read if isinstance(row, Example)] == [row["id"] for row in ROWS]
    last = read[-1]
    assert isinstance(last, Example)
    assert (last.metadata, last.location) == ({"tags": ["a"]}, f"{saved}:600")
    assert reader.bytes_read == reader.total_bytes
    assert list(reader) == read


def test_a_split_is_named_behind_the_folder_or_beside_it(splits: Path) -> None:
    for source in (HfDataset(f"{splits}#test"), HfDataset(splits, split="test")):
        assert source.name == f"{splits}#test"
        assert len(list(source)) == 2
    assert refusal(splits) == f"{splits}: choose a split with #SPLIT or --split: train, test"
    assert refusal(splits, split="dev") == f"{splits}: there is no split 'dev'; it has train, test"


def test_names_are_given_as_users_do(splits: Path, tmp_path: Path) -> None:
    assert len(list(open_examples([f"{splits}#test"]))) == 2
    assert len(list(open_examples([splits], split="test", map="text=id", only_mapped=True))) == 2
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(InputError, match="--split test: no Hugging Face dataset is named; leave it out"):
        open_examples([tmp_path / "a.jsonl"], split="test")


def test_folders_are_told_apart(saved: Path, splits: Path, tmp_path: Path) -> None:
    assert is_saved_dataset(saved)
    assert is_saved_dataset(f"{splits}#test")
    assert not is_saved_dataset(tmp_path)
    assert "is no dataset that save_to_disk wrote" in refusal(tmp_path)
    assert "is one split alone; leave out #SPLIT and --split" in refusal(f"{saved}#train")


def test_dates_and_images_are_not_decoded(tmp_path: Path) -> None:
    from datetime import datetime

    features = datasets.Features({"text": datasets.Value("string"), "at": datasets.Value("timestamp[ns]")})
    dataset = datasets.Dataset.from_dict({"text": ["a b"], "at": [datetime(2024, 1, 2)]}, features=features)
    dataset = dataset.add_column("image", [b"\x89PNG\xff"]).cast_column("image", datasets.Image())
    folder = save(tmp_path / "images", dataset)
    (rejected,) = ExampleReader([HfDataset(folder)])
    assert isinstance(rejected, RejectedRow)
    assert "field 'image' holds binary data" in rejected.reason
    (example,) = ExampleReader([HfDataset(folder)], mapping=parse_mapping("metadata.at=at", only_mapped=True))
    assert isinstance(example, Example)
    assert example.metadata == {"at": "2024-01-02T00:00:00"}


def test_a_missing_column_and_a_dataset_without_rows(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(InputError, match="there is no column 'body'; its columns: 'text', 'id', 'tags'"):
        ExampleReader([HfDataset(saved)], mapping=parse_mapping("text=body"))
    empty = datasets.Dataset.from_dict({"text": []}, features=datasets.Features({"text": datasets.Value("string")}))
    assert refusal(save(tmp_path / "empty", empty)).endswith("empty: the dataset holds no rows")


def test_the_manifest_covers_the_folder(saved: Path) -> None:
    source = HfDataset(saved)
    manifest = source.manifest()
    assert (manifest.uri, manifest.format) == (str(saved), "hf-dataset")
    assert manifest.files == len(list(saved.iterdir()))
    assert manifest.sha256 == HfDataset(saved).manifest().sha256
    rows = iter(source)
    next(rows)
    (saved / "state.json").write_text("{}")
    with pytest.raises(InputError, match="has changed while it was read"):
        list(rows)


def test_damaged_folders(saved: Path) -> None:
    (arrow,) = saved.glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:100])
    assert refusal(saved).startswith(f"{saved}: cannot be read as a dataset: ")


def test_a_name_is_streamed_as_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the package takes a folder of files for a name, so that all but the network is as on the hub
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    source = HfDataset("hf-dataset:plain")
    rows = list(source)
    assert source.name == "hf-dataset:plain#train"
    assert len(rows) == 600
    assert isinstance(rows[-1], RawRow)
    assert rows[-1].fields == ROWS[-1]
    assert source.manifest().sha256 is None


def test_names_that_are_none() -> None:
    for name in ("hf-dataset:a/b/c/d", "hf-dataset:", "hf-dataset:a@", "hf-dataset:a#"):
        assert refusal(name) == f"{name}: expected hf-dataset:NAME[/CONFIG][@REVISION][#SPLIT]"


def test_no_network_is_one_line(tmp_path: Path) -> None:
    script = """
import sys
from rise_store.corpus.formats import HfDataset
from rise_store.errors import InputError
try:
    HfDataset("hf-dataset:nobody/nothing@main#train")
except InputError as error:
    print(error)
"""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout.startswith("hf-dataset:nobody/nothing@main#train: cannot be read as a dataset: ")
    assert run.stdout.count("\n") == 1


def test_without_the_package_the_extra_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "datasets")
    assert refusal(saved) == f"{saved}: needs the package datasets: pip install 'rise-store[datasets]'"
