"""Reading, the model and the store at the same time, with results that nobody can tell from one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rise_store import InputError, SignatureError, StoreError
from rise_store.ingest import EncodedBlock, InProcess, RunContext, RunLedger, TokenizedBlock, ingest_examples
from rise_store.ingest.texts import TokenProgress
from rise_store.records import Dataset, Example, IngestReport, IngestTotals
from rise_store.signature import SignatureEncoder
from rise_store.store import Collection
from tests.ingest.examples import SMALL, OpenStore, Row, encode_rows, story_rows
from tests.ingest.models import with_nan_at


class Backwards(InProcess):
    """Gives the blocks that it has in the opposite order, three at a time, as processes might."""

    def __init__(self, encoder: SignatureEncoder) -> None:
        super().__init__(encoder)
        self.ahead = 4
        self.order: list[int] = []

    def run(self, blocks: Iterator[TokenizedBlock], progress: TokenProgress) -> Iterator[EncodedBlock]:
        held: list[EncodedBlock] = []
        for done in super().run(blocks, progress):
            held.insert(0, done)
            if len(held) == 3:
                self.order += [block.number for block in held]
                yield from held
                held = []
        self.order += [block.number for block in held]
        yield from held


def ingest(store: OpenStore, encoder: SignatureEncoder, rows: list[Row], encoding: InProcess) -> IngestReport:
    """What `store.ingest` does, with an encoding of the test's own."""
    spaces = store.backend.spaces()
    collection = (
        store.backend.open_collection(spaces[0].fingerprint)
        if spaces
        else store.backend.create_space(encoder.space(), encoder.tables.arrays())
    )
    dataset = Dataset(name="stories")
    ledger = RunLedger.begin(store.backend.catalogue(), dataset, encoder.fingerprint, (), {})
    run = RunContext(dataset, id=ledger.run.id)
    return ingest_examples(map(Example.model_validate, rows), run, encoder, collection, ledger, encoding=encoding)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rise-store-")]


class Pages:
    """Rows of stories; knows how many were asked for, and lets a thread wait until so many were."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.asked = 0
        self._more = threading.Condition()

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            with self._more:
                self.asked += 1
                self._more.notify_all()
            yield row

    def wait_for(self, asked: int) -> bool:
        with self._more:
            return self._more.wait_for(lambda: self.asked >= asked, timeout=30)


def test_the_next_blocks_are_read_while_the_model_works(store: OpenStore, encoder: SignatureEncoder) -> None:
    pages = Pages(story_rows(200))
    waited: list[bool] = []

    def progress(totals: IngestTotals, tokens: int) -> None:
        if not waited:  # the first batch of the first block
            waited.append(pages.wait_for(60))

    report = store.ingest(pages, dataset="stories", model=encoder, progress=progress)
    assert waited == [True]
    assert (report.new, report.state) == (200, "COMPLETE")
    assert threads() == []


def test_the_model_works_in_the_thread_of_the_caller(
    store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {"chunks": set(), "encode_chunks": set()}
    for name in seen:
        original = getattr(SignatureEncoder, name)

        def noted(
            self: object, *given: object, name: str = name, original: object = original, **more: object
        ) -> object:
            seen[name].add(threading.current_thread().name)
            return original(self, *given, **more)  # type: ignore[operator]

        monkeypatch.setattr(SignatureEncoder, name, noted)
    store.ingest(story_rows(60), dataset="stories", model=encoder)
    assert seen == {"chunks": {"rise-store-reader"}, "encode_chunks": {threading.current_thread().name}}


def test_a_text_that_is_under_way_is_not_encoded_again(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(60)
    again = [{"id": f"again-{number}", "text": rows[number]["text"]} for number in range(3)]
    pages = Pages([*rows, *again, *story_rows(60, start=60)])

    def progress(totals: IngestTotals, tokens: int) -> None:
        if totals.new == 0:  # the copies are planned before the first block is stored
            assert pages.wait_for(100)

    report = store.ingest(pages, dataset="stories", model=encoder, progress=progress)
    assert (report.new, report.shared, report.state) == (123, 3, "COMPLETE")
    assert (
        report.tokens
        == encoder.encode([row["text"] for row in pages.rows if "again" not in row["id"]]).token_counts.sum()
    )
    stored = store.dataset("stories")
    for number in range(3):
        assert np.array_equal(stored[f"again-{number}"].vector, stored[f"row-{number}"].vector)


def test_a_later_row_of_the_same_key_wins(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = [
        row
        for number in range(4)
        for row in (*story_rows(20, start=20 * number), {"id": "k", "text": f"Version {number}."})
    ]
    report = store.ingest(rows, dataset="stories", model=encoder)
    assert (report.new, report.replaced, report.stored, report.state) == (81, 3, 81, "COMPLETE")
    assert store.dataset("stories")["k"].payload["text"] == "Version 3."


def test_blocks_may_come_back_in_any_order(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(150)
    copies = [{"id": f"again-{number}", "text": rows[number]["text"]} for number in range(0, 150, 7)]
    for number, copy in enumerate(copies):
        rows.insert(7 * number + 20, copy)
    encoding = Backwards(encoder)
    report = ingest(store, encoder, rows, encoding)
    assert encoding.order != sorted(encoding.order)
    assert (report.new, report.shared, report.state) == (len(rows), len(copies), "COMPLETE")
    stored = store.dataset("stories")
    vectors = np.stack([stored[row["id"]].vector for row in rows])
    np.testing.assert_allclose(vectors, encode_rows(encoder, rows), atol=2e-3)


class TestErrors:
    """Whichever thread fails: what was encoded is stored, the threads end, and the error arrives as it was raised."""

    def test_of_the_source(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        def rows() -> Iterator[Row]:
            yield from story_rows(70)
            raise InputError("rows.jsonl: the compressed data is damaged")

        with pytest.raises(InputError, match="is damaged"):
            store.ingest(rows(), dataset="stories", model=encoder)
        assert len(store.dataset("stories")) == 70
        assert threads() == []

    def test_of_planning(self, store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
        store.ingest(story_rows(1), dataset="stories", model=encoder)
        fail_after(3, "retrieve", store, encoder, monkeypatch)
        with pytest.raises(StoreError, match="told to"):
            store.ingest(story_rows(150), dataset="stories", model=encoder)
        assert threads() == []
        monkeypatch.undo()
        assert store.ingest(story_rows(150), dataset="stories", model=encoder).stored == 150

    def test_of_storing(self, store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
        store.ingest(story_rows(1), dataset="stories", model=encoder)
        fail_after(2, "upsert", store, encoder, monkeypatch)
        with pytest.raises(StoreError, match="told to"):
            store.ingest(story_rows(150), dataset="stories", model=encoder)
        assert threads() == []
        monkeypatch.undo()
        stored = len(store.dataset("stories"))
        assert 30 < stored < 100
        report = store.ingest(story_rows(150), dataset="stories", model=encoder)
        assert (report.unchanged, report.stored) == (stored, 150)

    def test_of_the_model(self, store: OpenStore, tiny_model: Path, tmp_path: Path) -> None:
        damaged = SignatureEncoder.from_pretrained(
            with_nan_at(tiny_model, tmp_path / "model", "q"), SMALL, device="cpu", batch_tokens=64
        )
        rows = story_rows(100)
        rows[60]["text"] = "qqq"
        with pytest.raises(SignatureError, match=r"row 61: model .* gave NaN or Inf"):
            store.ingest(rows, dataset="stories", model=damaged)
        stored = store.dataset("stories")
        assert 25 <= len(stored) <= 60
        assert threads() == []

    def test_of_the_callers_progress(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        def progress(totals: IngestTotals, tokens: int) -> None:
            if totals.new:
                raise LookupError("the window was closed")

        with pytest.raises(LookupError, match="window"):
            store.ingest(story_rows(150), dataset="stories", model=encoder, progress=progress)
        assert threads() == []
        assert store.ingest(story_rows(150), dataset="stories", model=encoder).stored == 150


def fail_after(
    calls: int, method: str, store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a method of the collection fail after so many calls."""
    kind = type(store.backend.open_collection(encoder.fingerprint))
    original = getattr(kind, method)
    left = [calls]

    def failing(self: Collection, *given: object, **more: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise StoreError("told to fail")
        return original(self, *given, **more)

    monkeypatch.setattr(kind, method, failing)


def test_a_row_too_many_ends_a_run_at_once_and_again_the_next_time(store: OpenStore, encoder: SignatureEncoder) -> None:
    def rows() -> Iterator[Row]:
        yield from story_rows(3)
        yield {"id": "broken"}
        raise AssertionError("one row too many was asked for")

    for _ in range(2):
        with pytest.raises(InputError, match=r"row 4: .* the good rows before it are stored"):
            store.ingest(rows(), dataset="stories", model=encoder)
        assert len(store.dataset("stories")) == 3


def test_the_share_of_time_that_the_model_waited_is_told(store: OpenStore, encoder: SignatureEncoder) -> None:
    stored = threading.Event()

    def rows() -> Iterator[Row]:
        for number, row in enumerate(story_rows(100)):
            if number == 70:
                assert stored.wait(30)
                time.sleep(0.5)
            yield row

    def progress(totals: IngestTotals, tokens: int) -> None:
        if totals.new >= 50:  # all blocks that the source has filled by then
            stored.set()

    report = store.ingest(rows(), dataset="stories", model=encoder, progress=progress)
    assert 0.4 / report.seconds < report.model_waited < 1
    assert store.ingest(rows(), dataset="stories", model=encoder).model_waited == 0  # it had nothing to do at all
