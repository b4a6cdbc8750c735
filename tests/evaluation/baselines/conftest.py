"""A tiny model, and a few rows with queries whose answers are plain to see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.records import Example, Query
from rise_store.signature import LoadedModel, load_model

ROWS = [
    Example(id="dog", text="Once upon a time there was a dog that loved to play outside in the park."),
    Example(id="key", text="One day Lily found a shiny key under a big tree."),
    Example(id="sum", instruction="What is two plus two?", output="Two plus two is four."),
    Example(id="long", text="Her mother asked what the key could open. " * 25),  # two chunks
    Example(id="park", prompt="Where did the dog play? ", completion="In the park, under a tree."),
]
QUERIES = [
    Query(id="asks", prompt="What did Lily find? ", completion="She found a shiny key."),
    Query(id="tells", text="The dog loved to play in the park with Lily."),
]


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Products of tiny models cost less than handing them to a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def loaded(tiny_model: Path) -> LoadedModel:
    return load_model(tiny_model, device="cpu")


@pytest.fixture(scope="session")
def model(loaded: LoadedModel) -> LanguageModel:
    return LanguageModel(loaded)
