"""Annotations: payload fields change, signatures and identity do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rise_store import ConfigError, FilterError, InputError
from rise_store.lifecycle import parse_assignments
from rise_store.signature import SignatureEncoder
from rise_store.store import StoredPoint
from rise_store.store.embedded.collection import EmbeddedCollection
from tests.ingest.examples import OpenStore, forward_passes
from tests.lifecycle.material import NOTES, contents


def test_fields_are_set_and_signatures_stay(store: OpenStore) -> None:
    before = contents(store)
    report = store.annotate(
        "dataset=notes", set={"license": "CC0-1.0", "metadata.reviewed": True, "metadata.source.kind": "book"}
    )
    assert (report.matched, report.changed, report.unchanged, report.dry_run) == (4, 4, 0, False)
    for id_, (payload, vector) in contents(store).items():
        old, same_vector = before[id_]
        assert vector == same_vector
        if old["dataset"] == "notes":
            assert payload["license"] == "CC0-1.0"
            assert payload["metadata"] == old["metadata"] | {"reviewed": True, "source": {"kind": "book"}}
            assert payload["record_sha256"] == old["record_sha256"]
        else:
            assert payload == old


def test_booleans_can_be_filtered_by_at_once(store: OpenStore) -> None:
    store.annotate("dataset=notes", set={"metadata.reviewed": True})
    assert store.delete(where="reviewed=true").matched == 4
    store.annotate("license=MIT", set={"metadata.reviewed": False})
    assert store.delete(where="reviewed=true").matched == 2
    assert store.points["notes", "row-8"].payload["flags"] == ["metadata.draft=false", "metadata.reviewed=false"]


def test_the_same_rows_ingested_again_leave_annotations_alone(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.annotate("dataset=notes", set={"license": "ODbL-1.0", "metadata.reviewed": True})
    annotated = contents(store)
    with forward_passes() as ran:
        report = store.ingest(NOTES, dataset="notes", model=encoder)
    assert (report.unchanged, ran) == (4, [])
    assert contents(store) == annotated


def test_repeating_finishes_what_was_begun(store: OpenStore) -> None:
    store.annotate(["dataset=notes", "license=MIT"], set={"license": "CC0-1.0"})  # as far as a killed run came
    report = store.annotate("dataset=notes", set={"license": "CC0-1.0"})
    assert (report.matched, report.changed, report.unchanged) == (4, 0, 4)
    report = store.annotate("license=MIT", set={"license": "CC0-1.0"})
    assert (report.matched, report.changed) == (4, 4)
    assert store.info().spaces[0].licenses == {"CC0-1.0": 12}


def test_fields_are_removed_with_the_objects_that_they_leave_empty(store: OpenStore) -> None:
    report = store.annotate("dataset=notes", unset=["license", "metadata.source.kind", "metadata.absent"])
    assert report.changed == 4
    payload = store.points["notes", "row-8"].payload
    assert "license" not in payload
    assert set(payload["metadata"]) == {"page", "draft", "weight"}
    store.annotate("dataset=notes", unset=["page", "draft", "weight"])
    payload = store.points["notes", "row-8"].payload
    assert not {"metadata", "flags"} & set(payload)


def test_a_dry_run_only_counts(store: OpenStore) -> None:
    before = contents(store)
    report = store.annotate("dataset=tales", set={"license": "MIT"}, dry_run=True)
    assert (report.matched, report.changed, report.unchanged, report.dry_run) == (8, 4, 4, True)
    assert contents(store) == before


def test_numbers_and_booleans_are_different_values(store: OpenStore) -> None:
    store.annotate("dataset=notes", set={"metadata.level": 1})
    assert store.annotate("dataset=notes", set={"metadata.level": True}).changed == 4
    assert store.points["notes", "row-8"].payload["metadata"]["level"] is True


@pytest.mark.parametrize(
    "field",
    ["example_id", "dataset", "content_sha256", "record_sha256", "text", "tokens", "chunks", "channel_norms",
     "channel_norms.rh", "run_id", "ingested_at", "flags", "metadata"],
)  # fmt: skip
def test_what_names_an_example_or_was_computed_cannot_be_changed(store: OpenStore, field: str) -> None:
    with pytest.raises(ConfigError, match=f"the field '{field}' cannot be changed"):
        store.annotate("dataset=notes", set={field: "x"})
    with pytest.raises(ConfigError, match=f"the field '{field}' cannot be changed"):
        store.annotate("dataset=notes", unset=[field])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({}, "nothing to change"),
        ({"set": {"license": 3}}, "license takes a text, not 3"),
        ({"set": {"license": ""}}, "to remove it, unset it"),
        ({"set": {"metadata.a": None}}, "metadata.a cannot be null"),
        ({"set": {"metadata.a": 1, "metadata.a.b": 2}}, "metadata.a and metadata.a.b overlap"),
        ({"set": {"a": 1, "metadata.a": 2}}, "'a' and 'metadata.a' are the same field"),
        ({"set": ["a=1", "metadata.a=2"]}, "'a' and 'metadata.a' are the same field"),
        ({"set": ["big=123456789012345678901234567890"]}, "more than 64 bits"),
        ({"set": ["big=[1, -123456789012345678901234567890]"]}, "more than 64 bits"),
        ({"set": {"metadata.a": 1}, "unset": ["a"]}, "metadata.a and metadata.a overlap"),
    ],
)
def test_changes_that_make_no_sense_are_refused(store: OpenStore, changes: dict[str, Any], complaint: str) -> None:
    before = contents(store)
    with pytest.raises(ConfigError, match=complaint):
        store.annotate("dataset=notes", **changes)
    assert contents(store) == before


def test_a_path_through_a_value_names_the_example(store: OpenStore) -> None:
    with pytest.raises(InputError, match=r"example 'row-\d+' of dataset 'notes': cannot set metadata.page.number"):
        store.annotate("dataset=notes", set={"metadata.page.number": 3})


def test_values_that_cannot_be_stored_are_refused(store: OpenStore) -> None:
    before = contents(store)
    with pytest.raises(InputError, match="64 bits"):
        store.annotate("dataset=notes", set={"metadata.big": 2**70})
    assert contents(store) == before


def test_what_another_client_wrote_meanwhile_stays(store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (space,) = store.backend.spaces()
    collection = store.backend.open_collection(space.fingerprint)
    changed, gone = (store.points["notes", name] for name in ("row-8", "row-9"))
    scroll = EmbeddedCollection.scroll

    def scroll_then_write(self: EmbeddedCollection, *arguments: Any, **options: Any) -> Iterator[StoredPoint]:
        found = list(scroll(self, *arguments, **options))
        collection.set_payload({changed.id: {**changed.payload, "text": "as it is now"}})
        collection.delete([gone.id])
        return iter(found)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedCollection, "scroll", scroll_then_write)
        assert store.annotate("dataset=notes", set={"license": "ODbL-1.0"}).matched == 3
    payload = store.points["notes", "row-8"].payload
    assert (payload["text"], payload["license"]) == ("as it is now", "ODbL-1.0")


def test_without_a_filter_it_is_refused(store: OpenStore) -> None:
    with pytest.raises(ConfigError, match="give a filter"):
        store.annotate((), set={"license": "MIT"})
    with pytest.raises(FilterError, match="licence"):
        store.annotate("licence=MIT", set={"license": "MIT"})


def test_assignments_read_json_where_it_is_json() -> None:
    assert parse_assignments(
        ["license=2", "metadata.a=true", "metadata.b=3.5", 'metadata.c=["x"]', "metadata.d=a=b", "metadata.e=NaN"]
    ) == {
        "license": "2",
        "metadata.a": True,
        "metadata.b": 3.5,
        "metadata.c": ["x"],
        "metadata.d": "a=b",
        "metadata.e": "NaN",
    }


@pytest.mark.parametrize("assignment", ["license", "=MIT", ""])
def test_assignments_need_a_field_and_a_value(assignment: str) -> None:
    with pytest.raises(ConfigError, match="is not FIELD=VALUE"):
        parse_assignments([assignment])
