"""Deleting: a look first, then exactly what was named, then off the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from rise_store import ConfigError, FilterError, RiseStoreError
from rise_store.signature import EstimatorConfig, SignatureEncoder
from rise_store.store import Filter
from rise_store.store.embedded.collection import EmbeddedCollection
from tests.ingest.examples import OpenStore
from tests.lifecycle.material import TALES, contents


def test_a_dry_run_says_what_would_go_and_deletes_nothing(store: OpenStore) -> None:
    before = contents(store)
    report = store.delete(dataset="tales")
    assert (report.matched, report.deleted, report.dry_run) == (8, 0, True)
    assert report.datasets == {"tales": 8}
    assert len(report.sample) == 5
    for example in report.sample:
        stored = store.points[example.dataset, example.example_id].payload
        assert (example.dataset, example.license, example.text) == ("tales", stored["license"], stored["text"])
    assert contents(store) == before


def test_all_conditions_must_hold_and_nothing_else_goes(store: OpenStore) -> None:
    before = contents(store)
    report = store.delete(dataset="tales", where="license=MIT", yes=True)
    assert (report.matched, report.deleted, report.dry_run) == (4, 4, False)
    kept = {
        id_: point for id_, point in before.items() if (point[0]["dataset"], point[0]["license"]) != ("tales", "MIT")
    }
    assert len(kept) == 8
    assert contents(store) == kept


def test_filters_take_the_whole_language(store: OpenStore) -> None:
    report = store.delete(where="page >= 6 and not license = MIT and source.kind in (web, book)")
    assert sorted(example.example_id for example in report.sample) == ["row-7", "row-7", "row-9"]
    assert store.delete(where={"field": "draft", "equals": True}).matched == 1


def test_ids_are_those_of_every_dataset_or_of_one(store: OpenStore) -> None:
    assert store.delete(["row-7"]).datasets == {"tales": 1, "notes": 1}
    assert store.delete(["row-7"], dataset="notes", yes=True).deleted == 1
    assert ("tales", "row-7") in store.points
    assert ("notes", "row-7") not in store.points


def test_unknown_ids_are_named_and_the_others_deleted(store: OpenStore) -> None:
    report = store.delete(["row-1", "row-99", "row-1", "nowhere"], yes=True)
    assert report.unknown_ids == ("row-99", "nowhere")
    assert report.deleted == 1
    assert store.delete(["row-1"]).unknown_ids == ("row-1",)


def test_thousands_of_ids(store: OpenStore) -> None:
    report = store.delete([f"row-{number}" for number in range(2_500)], yes=True)
    assert report.deleted == 12
    assert len(report.unknown_ids) == 2_500 - 11
    assert contents(store) == {}


def test_repeating_a_deletion_finds_nothing(store: OpenStore) -> None:
    store.delete(dataset="notes", yes=True)
    assert store.delete(dataset="notes", yes=True).matched == 0


def test_a_deleted_example_is_no_answer_any_more(store: OpenStore, encoder: SignatureEncoder) -> None:
    text = TALES[2]["text"]
    assert store.attribute(text, k=1, model=encoder).results[0].score == pytest.approx(1, abs=2e-3)
    store.delete(["row-2"], yes=True)
    assert "row-2" not in {hit.example_id for hit in store.attribute(text, k=11, model=encoder).results}


def test_without_a_condition_it_is_refused(store: OpenStore) -> None:
    with pytest.raises(ConfigError, match="name example ids, a dataset or a filter"):
        store.delete(yes=True)
    assert len(contents(store)) == 12


def test_a_field_that_nobody_has_is_refused(store: OpenStore) -> None:
    with pytest.raises(FilterError, match="licence"):
        store.delete(where="licence=MIT", yes=True)
    assert len(contents(store)) == 12


@pytest.mark.parametrize("condition", ["not licnse exists", "not (license exists or source.knd exists)"])
def test_a_typing_error_in_exists_is_refused(store: OpenStore, condition: str) -> None:
    with pytest.raises(FilterError, match="no stored example has the field 'metadata"):
        store.delete(where=condition, yes=True)
    with pytest.raises(FilterError, match="no stored example has the field 'metadata"):
        store.annotate(condition, set={"license": "MIT"})
    assert store.delete(where="not source_uri exists").matched == 12  # our own fields are known, stored or not


def test_an_empty_list_of_ids_names_nothing(store: OpenStore) -> None:
    assert store.delete([], dataset="tales", yes=True).matched == 0
    assert store.delete([], yes=True).deleted == 0
    with pytest.raises(ConfigError, match="letter by letter"):
        store.delete("row-1", yes=True)
    assert len(contents(store)) == 12


@pytest.mark.parametrize("condition", ["topic != chess", "not topic exists"])
def test_spaces_without_a_field_of_the_filter_are_left_alone(
    store: OpenStore, tiny_model: Path, condition: str
) -> None:
    other = SignatureEncoder.from_pretrained(tiny_model, EstimatorConfig(kr=4, kh=4, kg=4), device="cpu")
    rows = [TALES[0] | {"metadata": {"topic": "go"}}, TALES[1] | {"metadata": {"topic": "chess"}}, TALES[2]]
    store.ingest(rows, dataset="tales", model=other, new_space=True)
    report = store.delete(where=condition, yes=True)
    assert 1 <= report.deleted == report.matched <= 2
    assert sorted(space.examples for space in store.info().spaces) == [3 - report.deleted, 12]


def test_nothing_goes_before_every_space_was_counted(
    store: OpenStore, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SignatureEncoder.from_pretrained(tiny_model, EstimatorConfig(kr=4, kh=4, kg=4), device="cpu")
    store.ingest(TALES[:3], dataset="tales", model=other, new_space=True)
    last = store.backend.spaces()[-1].fingerprint
    count = EmbeddedCollection.count

    def refuse(self: EmbeddedCollection, where: Filter | None = None) -> int:
        if self.space.fingerprint == last and where is not None:
            raise FilterError("this space cannot answer")
        return count(self, where)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedCollection, "count", refuse)
        with pytest.raises(FilterError, match="cannot answer"):
            store.delete(dataset="tales", yes=True)
    assert store.delete(dataset="tales").matched == 11


def test_every_space_is_looked_at_or_one(store: OpenStore, tiny_model: Path) -> None:
    other = SignatureEncoder.from_pretrained(tiny_model, EstimatorConfig(kr=4, kh=4, kg=4), device="cpu")
    store.ingest(TALES[:3], dataset="tales", model=other, new_space=True)
    with pytest.raises(RiseStoreError, match="several spaces"):
        store.delete(["row-1"], space="", yes=True)
    assert store.delete(["row-1"]).matched == 2
    assert store.delete(["row-1"], space=other.fingerprint[:6], yes=True).deleted == 1
    assert store.delete(["row-1"]).matched == 1


def test_after_compacting_no_byte_of_a_deleted_text_is_left(store: OpenStore, folder: Path) -> None:
    secret = "The vault opens with the word chrysanthemum."
    store.ingest([{"id": "secret", "text": secret}], dataset="tales")
    store.delete(["secret"], yes=True)
    report = store.compact()
    (space,) = report.spaces
    assert space.examples == 12
    assert space.after_bytes == store.info().spaces[0].size_bytes
    files = [path for path in (folder / "store").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not any(b"chrysanthemum" in path.read_bytes() for path in files)
