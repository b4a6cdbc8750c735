"""A new version of a dataset: changed examples are replaced, vanished ones marked, the rest kept without computing."""

from __future__ import annotations

import pytest

from rise_store import Dataset, InputError
from rise_store.records import IngestReport
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, Row, forward_passes, story_rows
from tests.ingest.sources import BAD, rows_reader


def ingest(
    store: OpenStore, encoder: SignatureEncoder, version: str | None, rows: list[Row | None], **options: object
) -> IngestReport:
    return store.ingest(
        rows_reader(rows), dataset=Dataset(name="stories", version=version), model=encoder, max_rejects=None, **options
    )


def marks(store: OpenStore) -> dict[str, str | None]:
    return {key: point.payload.get("vanished_in") for key, point in store.dataset("stories").items()}


def test_a_new_version_replaces_marks_and_keeps(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(5)
    ingest(store, encoder, "1", rows)
    rows[1] |= {"text": "The map was of another park."}
    report = ingest(store, encoder, "2", [*rows[:4], *story_rows(1, start=9)])
    assert (report.new, report.replaced, report.updated, report.vanished) == (1, 1, 3, 1)
    assert marks(store) == {"row-0": None, "row-1": None, "row-2": None, "row-3": None, "row-4": "2", "row-9": None}
    assert store.dataset("stories")["row-4"].payload["dataset_version"] == "1"
    (known,) = store.datasets()
    assert (known.examples, known.vanished, known.versions) == (6, 1, {"2": 5, "1": 1})
    assert (known.last_run, store.run(report.run_id).vanished) == (report.run_id, 1)


def test_what_only_got_another_version_costs_no_forward_pass(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(4))
    with forward_passes() as ran:
        report = ingest(store, encoder, "2", story_rows(3))
    assert ran == []
    assert (report.updated, report.vanished, report.tokens) == (3, 1, 0)


def test_an_example_that_comes_back_is_no_longer_marked(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(3))
    ingest(store, encoder, "2", story_rows(2))
    report = ingest(store, encoder, "3", story_rows(3))
    assert (report.updated, report.vanished) == (3, 0)
    assert set(marks(store).values()) == {None}


def test_a_mark_stays_that_of_the_version_that_lost_the_example(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(3))
    ingest(store, encoder, "2", story_rows(2))
    assert ingest(store, encoder, "3", story_rows(1)).vanished == 1
    assert marks(store) == {"row-0": None, "row-1": "3", "row-2": "2"}


def test_the_same_version_again_marks_nothing(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(3))
    assert ingest(store, encoder, "1", story_rows(2)).vanished == 0
    assert ingest(store, encoder, None, story_rows(1)).vanished == 0
    assert set(marks(store).values()) == {None}


def test_examples_without_a_version_vanish_too(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(2), dataset="stories", model=encoder)
    store.ingest(story_rows(2, start=5), dataset="others", model=encoder)
    assert ingest(store, encoder, "1", story_rows(1)).vanished == 1
    assert marks(store) == {"row-0": None, "row-1": "1"}
    assert all("vanished_in" not in point.payload for point in store.dataset("others").values())


def test_a_part_of_a_version_marks_nothing(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(4))
    assert ingest(store, encoder, "2", story_rows(2), partial=True).vanished == 0
    assert set(marks(store).values()) == {None}
    assert ingest(store, encoder, "2", story_rows(3)).vanished == 1


def test_a_rejected_row_makes_nothing_vanish(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(3))
    report = ingest(store, encoder, "2", [*story_rows(2), BAD])
    assert (report.state, report.vanished) == ("COMPLETE", 0)
    assert report.message == (
        "1 stored examples are not in version 2 of stories, and were not marked as vanished since 1 rows were "
        "rejected: mend or remove them and ingest the version again"
    )
    assert ingest(store, encoder, "2", story_rows(2)).vanished == 1


def test_a_file_without_rows_makes_nothing_vanish(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(3))
    report = ingest(store, encoder, "2", [])
    assert (report.state, report.vanished) == ("COMPLETE", 0)
    assert "the sources have no rows" in report.message


def test_a_run_that_did_not_end_marks_nothing(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(3))
    with pytest.raises(InputError):
        store.ingest(rows_reader([*story_rows(1), BAD]), dataset=Dataset(name="stories", version="2"), model=encoder)
    assert set(marks(store).values()) == {None}


def test_an_annotated_version_does_not_make_an_example_vanish(store: OpenStore, encoder: SignatureEncoder) -> None:
    ingest(store, encoder, "1", story_rows(2))
    store.annotate("example_id = row-0", set={"dataset_version": "mine", "metadata.by": "Ada"})
    report = ingest(store, encoder, "1", story_rows(2))
    assert (report.updated, report.vanished) == (1, 0)
    payload = store.dataset("stories")["row-0"].payload
    assert (payload["dataset_version"], payload["metadata"]) == ("1", {"by": "Ada"})


def test_an_annotated_example_that_comes_back_keeps_its_annotations(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    ingest(store, encoder, "1", story_rows(2))
    ingest(store, encoder, "2", story_rows(1))
    store.annotate("example_id = row-1", set={"license": "MIT", "metadata.by": "Ada"})
    report = ingest(store, encoder, "1", story_rows(2))
    assert (report.updated, marks(store)["row-1"]) == (2, None)
    payload = store.dataset("stories")["row-1"].payload
    assert (payload["dataset_version"], payload["license"], payload["metadata"]) == ("1", "MIT", {"by": "Ada"})
    assert payload["run_id"] == report.run_id
