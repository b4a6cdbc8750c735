"""Examples that go while their block is under way: what was erased does not come back, the rest is told clearly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import pytest

from rise_store import StoreError
from rise_store.ingest.write import store_block
from rise_store.records import Reject
from rise_store.signature import SignatureEncoder
from rise_store.store import Erasure, Identity, Tombstones
from tests.ingest.examples import OpenStore, story_rows
from tests.ingest.sources import rows_reader


def meanwhile(act: Callable[[], object]) -> AbstractContextManager[object]:
    """Something that is done once, when the first block is planned and encoded but not stored."""
    acts = [act]

    def after_all_but_storing(*arguments: object) -> object:
        if acts:
            acts.pop()()
        return store_block(*arguments)  # type: ignore[arg-type]

    return patch("rise_store.ingest.schedule.store_block", after_all_but_storing)


def test_an_example_that_is_erased_while_it_is_replaced_stays_away(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    store.ingest(story_rows(4), dataset="stories", model=encoder)
    rows = [row | {"text": f"Anew: {row['text']}"} for row in story_rows(6)]
    file = tmp_path / "rejects.jsonl"
    with meanwhile(lambda: store.delete(["row-1"], dataset="stories", tombstone=True, yes=True)):
        report = store.ingest(rows_reader(rows), dataset="stories", model=encoder, rejects=file)
    assert store.dataset("stories").keys() == {"row-0", "row-2", "row-3", "row-4", "row-5"}
    assert (report.state, report.new, report.replaced, report.refused) == ("COMPLETE", 2, 3, 1)
    letter = Reject.model_validate_json(file.read_text())
    assert (letter.kind, letter.row) == ("refused", None)
    assert "Anew" not in file.read_text()
    (receipt,) = store.receipts(report.run_id)
    assert receipt.outcomes == "1r1f2r2n"
    assert store.check_run(report.run_id).agrees


def test_a_text_that_is_erased_while_a_copy_of_it_is_stored_stays_away(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    (old, one, other) = story_rows(3)
    store.ingest([old], dataset="tales", model=encoder)
    rows = [old | {"id": "shares"}, one, one | {"id": "copy"}, other]

    def erase() -> None:
        gone = [Identity("tales", old["id"], store.dataset("tales")[old["id"]].payload["content_sha256"])]
        Tombstones(store.backend.catalogue()).add(gone, Erasure.begin())

    with meanwhile(erase):
        report = store.ingest(rows_reader(rows), dataset="stories", model=encoder)
    assert store.dataset("stories").keys() == {one["id"], "copy", other["id"]}
    assert (report.state, report.new, report.shared, report.refused) == ("COMPLETE", 3, 1, 1)
    assert store.check_run(report.run_id).agrees


def test_an_example_that_is_deleted_while_it_is_relabelled_is_stored_by_the_next_attempt(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    store.ingest(story_rows(3), dataset="stories", model=encoder)
    reader = rows_reader([row | {"license": "MIT"} for row in story_rows(3)])
    with (
        meanwhile(lambda: store.delete(["row-1"], dataset="stories", yes=True)),
        pytest.raises(StoreError, match=r"^1 examples of this block were deleted .*: run the same command again$"),
    ):
        store.ingest(reader, dataset="stories", model=encoder)
    report = store.ingest(reader, dataset="stories", model=encoder)
    assert (report.state, report.new, report.updated, report.stored) == ("COMPLETE", 1, 2, 3)
