"""Where `rise-store ingest` lets models work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", story_rows(5))


@pytest.mark.usefixtures("quick_workers")
def test_workers_ingest(command: Command, rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    done = command(
        "ingest", rows, "--store", tmp_path / "store", "--dataset", "d", "--model", tiny_model, *SMALL_OPTIONS,
        "--workers", 2, "--format", "json",
    )  # fmt: skip
    assert done.code == 0, done
    assert (done.json["state"], done.json["new"]) == ("COMPLETE", 5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--workers", 2, "--gpus", "0"), "leave --workers out"),
        (("--gpus", "1,1"), "different numbers"),
        (("--workers", 2, "--device-map", "auto"), "leave one of them out"),
        (("--ray",), "is a folder, which one process can hold"),
        (("--ray", "--gpus", "0"), "--device cuda"),
    ],
)
def test_what_contradicts_is_said_before_a_model_is_loaded(
    command: Command, rows: Path, tmp_path: Path, tiny_model: Path, options: tuple[object, ...], reason: str
) -> None:
    store = tmp_path / "store"
    done = command("ingest", rows, "--store", store, "--dataset", "d", "--model", tiny_model, *options)
    assert reason in done.error
    assert not store.exists()


@pytest.mark.parametrize("options", [("--workers", 0), ("--gpus", "a"), ("--gpus", "-1")])
def test_numbers_that_are_none(command: Command, rows: Path, tmp_path: Path, options: tuple[object, ...]) -> None:
    done = command("ingest", rows, "--store", tmp_path / "store", "--dataset", "d", *options)
    assert done.code == 2
    assert str(options[0]) in done.err
