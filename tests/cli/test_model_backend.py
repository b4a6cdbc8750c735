"""`--backend vllm` and `--tensor-parallel`: the same store, whatever runs the model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows
from tests.signature.vllm_stub import install_stub


@pytest.fixture(autouse=True)
def corpus(working_directory: Path) -> Path:
    return write_rows(working_directory / "stories.jsonl", story_rows(3))


def test_a_store_is_shared_by_both_backends(
    command: Command, store: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = install_stub(monkeypatch)
    ingest = ("ingest", "stories.jsonl", "--store", store, "--dataset", "d", "--format", "json")
    parallel = ("--backend", "vllm", "--tensor-parallel", "2", "--device", "cpu")
    first = command(*ingest, "--model", tiny_model, *parallel, *SMALL_OPTIONS)
    assert first.code == 0, first
    assert first.json["new"] == 3
    assert started.arguments[0]["tensor_parallel_size"] == 2
    again = command(*ingest)  # by transformers: the same space, so nothing is left to do
    assert again.code == 0, again
    assert (again.json["new"], again.json["unchanged"], again.json["tokens"]) == (0, 3, 0)
    text = story_rows(3)[1]["text"]
    asked = command("query", "--store", store, "--text", text, "--format", "json", *parallel)
    assert asked.code == 0, asked
    assert asked.json["results"][0]["example_id"] == "row-1"


def test_a_missing_package_is_one_line(
    command: Command, store: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    done = command(
        "ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", "--backend", "vllm"
    )
    assert done.error == "the backend vllm needs the package vllm: pip install 'rise-store[vllm]'"


def test_tensor_parallelism_needs_vllm(command: Command, store: Path, tiny_model: Path) -> None:
    done = command(
        "ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", "--tensor-parallel", "2"
    )
    assert done.error.startswith("tensor parallelism needs vLLM (--backend vllm)")
