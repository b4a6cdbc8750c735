"""Models that cannot be used: one line that says why, exit code 2, no example stored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import SENTENCES, open_points, story_rows, write_rows
from tests.ingest.models import UNUSABLE
from tests.tiny_models import save_tiny_llama


@pytest.fixture(autouse=True)
def corpus(working_directory: Path) -> Path:
    return write_rows(working_directory / "stories.jsonl", story_rows(3))


@pytest.mark.parametrize("name", UNUSABLE)
def test_models_that_cannot_be_used(command: Command, store: Path, tiny_model: Path, name: str) -> None:
    make, message = UNUSABLE[name]
    model = make(tiny_model, Path(name).resolve())
    done = command("ingest", "stories.jsonl", "--store", store, "--model", model, "--dataset", "d", *SMALL_OPTIONS)
    assert re.search(message, done.error)
    assert name in done.error  # the model is named
    assert not list(store.glob("spaces/*"))


@pytest.mark.parametrize("name", ["encoder_decoder", "unknown_head"])
def test_signatures_refuses_the_same_models(command: Command, tiny_model: Path, name: str) -> None:
    make, message = UNUSABLE[name]
    model = make(tiny_model, Path(name).resolve())
    done = command("signatures", "stories.jsonl", "--model", model, "--out", "s.npz", *SMALL_OPTIONS)
    assert re.search(message, done.error)
    assert not Path("s.npz").exists()


def test_a_folder_that_is_not_there_is_called_that(command: Command, store: Path) -> None:
    done = command("ingest", "stories.jsonl", "--store", store, "--model", "./no/model", "--dataset", "d")
    assert "no/model" in done.error
    assert "repo" not in done.error.lower()


def test_a_folder_without_a_model(command: Command, store: Path) -> None:
    Path("empty").mkdir()
    done = command("ingest", "stories.jsonl", "--store", store, "--model", "empty", "--dataset", "d")
    assert done.error == "folder empty holds no model: it has no config.json"


def test_a_model_that_failed_leaves_no_store_behind(command: Command, store: Path) -> None:
    Path("empty").mkdir()
    command("ingest", "stories.jsonl", "--store", store, "--model", "empty", "--dataset", "d")
    command("ingest", "stories.jsonl", "--store", store, "--dataset", "d")
    assert not store.exists()


class TestAnotherSpace:
    """The store was made with another model or other settings."""

    @pytest.fixture
    def filled(self, command: Command, store: Path, tiny_model: Path) -> Path:
        command("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
        return store

    def test_another_model(self, command: Command, filled: Path, tmp_path: Path) -> None:
        other = save_tiny_llama(tmp_path / "other", SENTENCES, seed=1)
        for arguments in (
            ("ingest", "stories.jsonl", "--dataset", "more"),
            ("query", "--text", "A key.", "-k", "1"),
        ):
            error = command(*arguments, "--store", filled, "--model", other).error
            assert re.search(r"makes signatures of another space than [0-9a-f]{32} \(made with .*tiny-llama", error)
        with open_points(filled) as opened:
            assert {dataset for dataset, _ in opened.points} == {"d"}

    def test_another_width(self, command: Command, filled: Path, tmp_path: Path) -> None:
        other = save_tiny_llama(tmp_path / "other", SENTENCES, vocabulary=400)
        error = command("ingest", "stories.jsonl", "--store", filled, "--model", other, "--dataset", "more").error
        assert "512" in error
        assert "400" in error

    def test_other_settings(self, command: Command, filled: Path) -> None:
        more = ("ingest", "stories.jsonl", "--store", filled, "--dataset", "more")
        error = command(*more, *SMALL_OPTIONS, "--estimator", "tau=1").error
        assert "tau 0.1 there, 1.0 here" in error
        assert "--new-space" in error
        with open_points(filled) as opened:
            assert {dataset for dataset, _ in opened.points} == {"d"}

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("taus=1", "estimator setting 'taus=1' is not NAME=VALUE; names: kr, kh"),
            ("tau", "estimator setting 'tau' is not NAME=VALUE"),
            ("tau=0", "tau: Input should be greater than 0"),
            ("kr=many", "kr: Input should be a valid integer"),
            ("chunk_overlap=900", "chunk_overlap 900 must be below chunk_size 256"),
        ],
    )
    def test_settings_that_are_none(self, command: Command, store: Path, setting: str, message: str) -> None:
        done = command(
            "ingest", "stories.jsonl", "--store", store, "--model", "m", "--dataset", "d", "--estimator", setting
        )
        assert message in done.error
        assert not store.exists()
