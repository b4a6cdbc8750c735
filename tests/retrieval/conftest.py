from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rise_store import Dataset, Example
from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from tests.ingest.examples import SENTENCES, SMALL, OpenStore, quick_folder

STORIES = Dataset(name="stories", version="1", license="CC-BY-4.0", source_uri="https://stories.example")
QUESTIONS = Dataset(name="questions", license="MIT")


def corpus() -> dict[Dataset, list[Example]]:
    """24 stories with metadata of every kind, and 6 pairs of prompt and completion."""
    stories = [
        Example(
            id=f"story-{number}",
            text=f"{SENTENCES[number % len(SENTENCES)]} {SENTENCES[(number * 5 + 2) % len(SENTENCES)]} Page {number}.",
            metadata={
                "page": number,
                "share": number / 7,
                "reviewed": number % 2 == 0,
                "author": {"name": ("Ada", "Grace")[number % 2], "born": 1815 + number},
                "tags": ["story", f"part-{number % 3}"],
                "year": str(1990 + number),
            },
        )
        for number in range(24)
    ]
    questions = [
        Example(id=f"question-{number}", prompt=f"What comes after {number}? ", completion=f"{number + 1}, says {who}.")
        for number, who in enumerate(("Lily", "her dog", "the old man", "her mother", "the map", "nobody"))
    ]
    return {STORIES: stories, QUESTIONS: questions}


@pytest.fixture(scope="session")
def encoder(tiny_model: Path) -> SignatureEncoder:
    """The tiny model, loaded."""
    return SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")


@pytest.fixture(scope="session")
def library(encoder: SignatureEncoder) -> Iterator[OpenStore]:
    """A store with the corpus; tests only read it."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        store = OpenStore(backend)
        for dataset, examples in corpus().items():
            store.ingest(examples, dataset=dataset, model=encoder)
        yield store


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    """What `library` holds, in order."""
    return [example for examples in corpus().values() for example in examples]


@pytest.fixture
def store() -> Iterator[OpenStore]:
    """An open store without spaces."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        yield OpenStore(backend)
