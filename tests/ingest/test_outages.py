"""A store that goes away in the middle of a run: for a while, for too long, or for want of space."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from rise_store import AttributionStore, Interrupted, StoreError, StoreFullError, StoreUnreachableError
from rise_store.ingest import Patience, Progress
from rise_store.records import IngestTotals
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, story_rows, write_rows
from tests.ingest.test_interrupts import interrupt_after

sys.path.insert(0, str(Path(__file__).parent.parent / "store"))

from loopback_qdrant import LoopbackQdrant, serving


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single call gives up at once, and the run asks again every few tenths of a second."""
    monkeypatch.setattr("rise_store.store.server.retry.TRIES", 1)
    monkeypatch.setattr("rise_store.ingest.patience.FIRST_WAIT_S", 0.1)
    monkeypatch.setattr("rise_store.ingest.patience.LONGEST_WAIT_S", 0.3)


@pytest.fixture
def server() -> Iterator[LoopbackQdrant]:
    with serving() as server:
        yield server


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "stories.jsonl", story_rows(150))


def at(examples: int, action: Callable[[], object]) -> Progress:
    """A progress callback that does something at the moment when so many examples are stored."""
    left = [action]

    def progress(totals: IngestTotals, tokens: int) -> None:
        if totals.new >= examples and left:
            left.pop()()

    return progress


def test_a_run_goes_on_when_the_store_is_back(server: LoopbackQdrant, encoder: SignatureEncoder, corpus: Path) -> None:
    told: list[str] = []

    def go_away() -> None:
        server.stop()
        threading.Timer(2, server.start).start()

    with AttributionStore.open(server.url) as store:
        report = store.ingest(
            corpus, dataset="stories", model=encoder, progress=at(50, go_away), notify=told.append, patience=60
        )
    assert (report.new, report.stored, report.state) == (150, 150, "COMPLETE")
    assert report.seconds > 2
    away, back = told  # once, however many calls failed
    assert away.startswith(f"the server at {server.url} cannot be reached")
    assert away.endswith("; trying again for up to 60 s")
    assert "\n" not in away
    assert back == "the store answers again"


def test_a_run_ends_when_patience_does_and_is_resumed_later(
    server: LoopbackQdrant, encoder: SignatureEncoder, corpus: Path
) -> None:
    with (
        pytest.raises(StoreUnreachableError, match=r"cannot be reached: .* run the same command again"),
        AttributionStore.open(server.url) as store,
    ):
        store.ingest(corpus, dataset="stories", model=encoder, progress=at(50, server.stop), patience=1)
    server.start()
    with AttributionStore.open(server.url) as store:
        report = store.ingest(corpus, dataset="stories", model=encoder)
    assert (report.stored, report.state) == (150, "COMPLETE")
    assert report.new + report.unchanged + report.recovered == 150


def test_ctrl_c_ends_the_wait(server: LoopbackQdrant, encoder: SignatureEncoder, corpus: Path) -> None:
    def told(message: str) -> None:
        interrupt_after(0)(IngestTotals(), 0)

    with (
        pytest.raises(Interrupted, match=r"stopped by Ctrl-C while the store was away; \d+ examples are stored"),
        AttributionStore.open(server.url) as store,
    ):
        store.ingest(corpus, dataset="stories", model=encoder, progress=at(50, server.stop), notify=told, patience=60)
    server.start()


def test_a_server_that_is_too_slow_is_waited_for_too(server: LoopbackQdrant, encoder: SignatureEncoder) -> None:
    with AttributionStore.open(server.url) as store:
        store.ingest(story_rows(1), dataset="stories", model=encoder)
        slow = at(0, lambda: server.fail("Upsert", 2, grpc.StatusCode.DEADLINE_EXCEEDED))
        told: list[str] = []
        report = store.ingest(story_rows(60), dataset="stories", model=encoder, progress=slow, notify=told.append)
        assert (report.new, len(told)) == (59, 2)


def test_other_failures_of_the_store_are_told_at_once(server: LoopbackQdrant, encoder: SignatureEncoder) -> None:
    told: list[str] = []
    with AttributionStore.open(server.url) as store:
        store.ingest(story_rows(1), dataset="stories", model=encoder)
        forbidden = at(0, lambda: server.fail("Upsert", 1, grpc.StatusCode.PERMISSION_DENIED))
        with pytest.raises(StoreError, match="refused access"):
            store.ingest(story_rows(60), dataset="stories", model=encoder, progress=forbidden, notify=told.append)
    assert told == []


def test_a_disk_that_fills_up_ends_the_run_and_freeing_space_resumes_it(
    store: OpenStore, encoder: SignatureEncoder, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill() -> None:
        monkeypatch.setattr("rise_store.store.embedded.disk.free_bytes", lambda _: 0)

    with pytest.raises(StoreFullError, match=r"is too full to store rows.* run the same command again"):
        store.ingest(corpus, dataset="stories", model=encoder, progress=at(50, fill))
    stored = len(store.dataset("stories"))
    assert 50 <= stored < 150
    monkeypatch.undo()
    report = store.ingest(corpus, dataset="stories", model=encoder)
    assert (report.stored, report.state) == (150, "COMPLETE")


class TestPatience:
    """By itself."""

    def test_each_outage_has_all_the_seconds(self) -> None:
        calls = iter([True, True, False, True, True, False])

        def call() -> str:
            if next(calls):
                raise StoreUnreachableError("the server cannot be reached. Check it")
            return "done"

        told: list[str] = []
        patience = Patience(30, notify=told.append)
        assert (patience(call), patience(call)) == ("done", "done")
        assert (
            told
            == [
                "the server cannot be reached; trying again for up to 30 s",
                "the store answers again",
            ]
            * 2
        )

    def test_none_at_all(self) -> None:
        def call() -> None:
            raise StoreUnreachableError("gone")

        with pytest.raises(StoreUnreachableError, match="gone"):
            Patience(0)(call)


def test_a_store_that_cannot_be_tidied_has_everything_and_says_so(
    store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreFullError("the disk is too full to tidy it")

    monkeypatch.setattr("rise_store.store.embedded.upkeep.Upkeep.tidy", full)
    said: list[str] = []
    report = store.ingest(story_rows(3), dataset="stories", model=encoder, notify=said.append)
    assert (report.state, report.new) == ("COMPLETE", 3)
    assert "everything is stored, but searches are slower" in said[-1]
