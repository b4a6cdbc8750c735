"""What is stored of an example beside its signature."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone

import numpy as np
import pytest

from rise_store import Dataset, Example
from rise_store.ingest import KeepText
from rise_store.signature import SignatureEncoder
from rise_store.store import point_id
from tests.ingest.examples import OpenStore, forward_passes, story_rows

LONG = "A sentence that goes on and on. " * 60


def test_every_field_of_an_example(store: OpenStore, encoder: SignatureEncoder) -> None:
    example = Example(id="page-1", text=" Lily found a key. ", metadata={"author": {"name": "Ada"}, "year": 1843})
    dataset = Dataset(name="stories", version="2024-05", source_uri="https://stories.example", license="CC-BY-4.0")
    report = store.ingest([example], dataset=dataset, model=encoder)
    payload = store.points["stories", "page-1"].payload
    encoded = encoder.encode([example])
    rh, gh = encoded.channel_norms[0]
    stored_at = datetime.fromisoformat(payload.pop("ingested_at"))
    assert abs((datetime.now(timezone.utc) - stored_at).total_seconds()) < 60
    assert len(payload.pop("record_sha256")) == 64
    assert payload.pop("channel_norms") == pytest.approx({"rh": rh, "gh": gh}, abs=1e-6)
    assert payload == {
        "example_id": "page-1",
        "dataset": "stories",
        "dataset_version": "2024-05",
        "source_uri": "https://stories.example",
        "license": "CC-BY-4.0",
        "content_sha256": hashlib.sha256(b"Lily found a key.").hexdigest(),
        "tokens": encoded.token_counts[0],
        "chunks": 1,
        "run_id": report.run_id,
        "text": "Lily found a key.",
        "metadata": {"author": {"name": "Ada"}, "year": 1843},
    }


def test_the_point_id_follows_from_space_dataset_and_key(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest([Example(id="page-1", text="Lily found a key.")], dataset="stories", model=encoder)
    point = store.points["stories", "page-1"]
    assert point.id == point_id(encoder.fingerprint, "stories", "page-1")
    assert point.id.version == 5


def test_a_rows_own_licence_and_source_go_before_those_of_its_dataset(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    dataset = Dataset(name="stories", source_uri="https://stories.example", license="CC-BY-4.0")
    own = Example(id="own", text="Lily found a key.", license="MIT", source_uri="https://stories.example/1")
    store.ingest([own, Example(id="plain", text="Lily lost a key.")], dataset=dataset, model=encoder)
    points = store.dataset("stories")
    assert (points["own"].payload["license"], points["own"].payload["source_uri"]) == (own.license, own.source_uri)
    assert points["plain"].payload["license"] == "CC-BY-4.0"


@pytest.mark.parametrize(("keep_text", "kept"), [("full", LONG.strip()), ("preview", LONG[:200]), ("none", None)])
def test_texts_are_kept_in_full_as_a_preview_or_not_at_all(
    store: OpenStore, encoder: SignatureEncoder, keep_text: KeepText, kept: str | None
) -> None:
    store.ingest([Example(id="a", text=LONG)], dataset="stories", model=encoder, keep_text=keep_text)
    point = store.points["stories", "a"]
    assert point.payload.get("text") == kept
    assert point.payload["content_sha256"] == hashlib.sha256(LONG.strip().encode()).hexdigest()


def test_how_much_text_is_kept_can_change_without_a_forward_pass(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(2)
    store.ingest(rows, dataset="stories", model=encoder, keep_text="none")
    with forward_passes() as ran:
        report = store.ingest(rows, dataset="stories", model=encoder, keep_text="full")
    assert ran == []
    assert (report.updated, report.tokens) == (2, 0)
    assert store.points["stories", "row-1"].payload["text"] == rows[1]["text"]


def test_a_text_that_was_not_kept_is_known_all_the_same(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(2), dataset="stories", model=encoder, keep_text="none")
    with forward_passes() as ran:
        report = store.ingest(story_rows(2), dataset="stories", model=encoder, keep_text="none")
    assert ran == []
    assert report.unchanged == 2


def test_a_long_text_is_one_example_of_several_chunks(store: OpenStore, encoder: SignatureEncoder) -> None:
    report = store.ingest([Example(id="long", text=LONG)], dataset="stories", model=encoder)
    point = store.points["stories", "long"]
    assert point.payload["chunks"] > 1
    assert point.payload["tokens"] == report.tokens > 256
    np.testing.assert_allclose(np.linalg.norm(point.vector), 1, atol=1e-3)


def test_stored_signatures_are_those_of_the_encoder(store: OpenStore, encoder: SignatureEncoder) -> None:
    examples = [
        Example(id="text", text="Lily found a key."),
        Example(id="pair", prompt="What did Lily find?", completion=" A key."),
        Example(id="triple", instruction="Answer.", input="What did Lily find?", output="A key."),
    ]
    store.ingest(examples, dataset="stories", model=encoder)
    points = store.dataset("stories")
    for example, signature in zip(examples, encoder.encode(examples).signatures, strict=True):
        np.testing.assert_allclose(points[example.id].vector, signature, atol=1e-3)
    assert points["pair"].payload["text"] == "What did Lily find? A key."
    assert points["triple"].payload["text"] == "Answer.\nWhat did Lily find?\nA key."
