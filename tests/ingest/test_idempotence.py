"""Ingesting is idempotent: what is stored already is not computed again, and what changed replaces what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rise_store import Dataset
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, encode_rows, forward_passes, story_rows, what_stays, write_rows


def test_the_same_file_twice_changes_nothing_and_computes_nothing(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = write_rows(tmp_path / "stories.jsonl", story_rows(12))
    first = store.ingest(file, dataset="stories", model=encoder)
    before = store.points
    with forward_passes() as ran:
        second = store.ingest(file, dataset="stories", model=encoder)
    assert ran == []
    assert (first.new, first.unchanged) == (12, 0)
    assert (second.new, second.replaced, second.updated, second.unchanged, second.tokens) == (0, 0, 0, 12, 0)
    assert second.stored == 12
    after = store.points
    assert {key: point.payload for key, point in after.items()} == {key: point.payload for key, point in before.items()}
    for key, point in after.items():
        np.testing.assert_array_equal(point.vector, before[key].vector)


def test_rows_without_an_id_are_known_by_their_text(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = [{"text": row["text"]} for row in story_rows(5)]
    assert store.ingest(rows, dataset="stories", model=encoder).new == 5
    with forward_passes() as ran:
        report = store.ingest(reversed(rows), dataset="stories", model=encoder)
    assert ran == []
    assert report.unchanged == 5


def test_only_new_rows_of_a_grown_file_are_computed(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(10), dataset="stories", model=encoder)
    grown = store.ingest(story_rows(13), dataset="stories", model=encoder)
    alone = encoder.encode([row["text"] for row in story_rows(3, start=10)])
    assert (grown.new, grown.unchanged, grown.stored) == (3, 10, 13)
    assert grown.tokens == alone.token_counts.sum()


def test_a_changed_text_replaces_the_signature(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(4)
    store.ingest(rows, dataset="stories", model=encoder)
    rows[2]["text"] = "The map was of another park."
    report = store.ingest(rows, dataset="stories", model=encoder)
    assert (report.new, report.replaced, report.unchanged, report.stored) == (0, 1, 3, 4)
    changed = store.points["stories", "row-2"]
    assert changed.payload["text"] == "The map was of another park."
    np.testing.assert_allclose(changed.vector, encode_rows(encoder, rows)[2], atol=1e-3)


def test_changed_metadata_is_stored_without_a_forward_pass(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = [row | {"metadata": {"reviewed": False}} for row in story_rows(4)]
    store.ingest(rows, dataset="stories", model=encoder)
    before = store.points
    rows[1]["metadata"] = {"reviewed": True, "by": "Ada"}
    with forward_passes() as ran:
        report = store.ingest(rows, dataset="stories", model=encoder)
    assert ran == []
    assert (report.updated, report.unchanged, report.tokens) == (1, 3, 0)
    after = store.points["stories", "row-1"]
    assert after.payload["metadata"] == {"reviewed": True, "by": "Ada"}
    for name in ("text", "content_sha256", "tokens", "chunks", "channel_norms"):
        assert after.payload[name] == before["stories", "row-1"].payload[name]
    np.testing.assert_array_equal(after.vector, before["stories", "row-1"].vector)


def test_new_provenance_of_a_dataset_reaches_rows_that_are_stored(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = [*story_rows(3), story_rows(1, start=3)[0] | {"license": "MIT"}]
    store.ingest(rows, dataset=Dataset(name="stories"), model=encoder)
    known = Dataset(name="stories", version="2", license="CC-BY-4.0", source_uri="https://stories.example")
    with forward_passes() as ran:
        report = store.ingest(rows, dataset=known, model=encoder)
    assert ran == []
    assert report.updated == 4
    payloads = [point.payload for point in store.points.values()]
    assert {payload["dataset_version"] for payload in payloads} == {"2"}
    assert {payload["source_uri"] for payload in payloads} == {"https://stories.example"}
    assert sorted(payload["license"] for payload in payloads) == ["CC-BY-4.0", "CC-BY-4.0", "CC-BY-4.0", "MIT"]


def test_metadata_that_was_removed_is_gone(store: OpenStore, encoder: SignatureEncoder) -> None:
    (row,) = story_rows(1)
    store.ingest([row | {"metadata": {"draft": True}, "license": "MIT"}], dataset="stories", model=encoder)
    assert store.ingest([row], dataset="stories", model=encoder).updated == 1
    payload = store.points["stories", "row-0"].payload
    assert {"metadata", "flags", "license"}.isdisjoint(payload)


def test_the_order_of_metadata_fields_is_no_change(store: OpenStore, encoder: SignatureEncoder) -> None:
    (row,) = story_rows(1)
    store.ingest([row | {"metadata": {"a": 1, "b": [2, {"c": 3, "d": 0.1}]}}], dataset="stories", model=encoder)
    again = row | {"metadata": {"b": [2, {"d": 0.1, "c": 3}], "a": 1}}
    assert store.ingest([again], dataset="stories", model=encoder).unchanged == 1


def test_appending_a_dataset_leaves_stored_points_untouched(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(10), dataset="first", model=encoder)
    before = store.points
    report = store.ingest(story_rows(20), dataset="second", model=encoder)
    assert (report.new, report.stored) == (20, 30)
    after = store.points
    for key, point in before.items():
        assert after[key].payload == point.payload
        np.testing.assert_array_equal(after[key].vector, point.vector)


def test_the_same_key_in_two_datasets_is_two_examples(store: OpenStore, encoder: SignatureEncoder) -> None:
    (row,) = story_rows(1)
    store.ingest([row], dataset="first", model=encoder)
    store.ingest([row | {"text": "Another story altogether."}], dataset="second", model=encoder)
    points = store.points
    assert points["first", "row-0"].payload["text"] == row["text"]
    assert points["second", "row-0"].payload["text"] == "Another story altogether."
    assert points["first", "row-0"].id != points["second", "row-0"].id


def test_rows_that_did_not_change_keep_the_run_that_stored_them(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(2)
    first = store.ingest(rows, dataset="stories", model=encoder)
    rows[1]["text"] = "A new ending."
    second = store.ingest(rows, dataset="stories", model=encoder)
    assert store.points["stories", "row-0"].payload["run_id"] == first.run_id
    assert store.points["stories", "row-1"].payload["run_id"] == second.run_id


def test_what_is_stored_does_not_depend_on_what_was_there_before(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest([row | {"text": "Something else."} for row in story_rows(3)], dataset="changed", model=encoder)
    store.ingest(story_rows(3), dataset="changed", model=encoder)
    store.ingest(story_rows(3), dataset="fresh", model=encoder)
    points = store.points
    for row in story_rows(3):
        changed, fresh = points["changed", row["id"]], points["fresh", row["id"]]
        assert what_stays(changed) == what_stays(fresh) | {"dataset": "changed"}
        np.testing.assert_array_equal(changed.vector, fresh.vector)
