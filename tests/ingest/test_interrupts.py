"""Ctrl-C: the block in flight is stored, the run says how to go on, and the same command completes it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from rise_store import Interrupted
from rise_store.ingest import Progress
from rise_store.records import IngestTotals
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, Row, story_rows


def interrupt_after(examples: int, times: int = 1) -> Progress:
    """A progress callback that presses Ctrl-C so often, at the moment when so many examples are stored."""
    presses = [signal.SIGINT] * times

    def progress(totals: IngestTotals, tokens: int) -> None:
        while totals.new >= examples and presses:
            signal.raise_signal(presses.pop())

    return progress


def test_the_block_in_flight_is_stored_and_the_rest_by_the_next_run(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    rows = story_rows(100)
    with pytest.raises(
        Interrupted, match=r"stopped by Ctrl-C; \d+ examples \w+ stored: run the same command"
    ) as caught:
        store.ingest(rows, dataset="stories", model=encoder, progress=interrupt_after(20))
    stored = set(store.dataset("stories"))
    assert 20 < len(stored) < 100
    assert f" {len(stored)} examples " in str(caught.value)
    assert stored == {row["id"] for row in rows[: len(stored)]}  # whole blocks, in order

    report = store.ingest(rows, dataset="stories", model=encoder)
    assert (report.new, report.unchanged, report.stored) == (100 - len(stored), len(stored), 100)


def test_an_interrupt_counts_as_bad_input_for_the_exit_code() -> None:
    assert Interrupted("stopped").exit_code == 2


def test_a_second_interrupt_stops_at_once_and_the_store_stays_usable(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    rows = story_rows(100)
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        store.ingest(rows, dataset="stories", model=encoder, progress=interrupt_after(20, 2))
    assert 20 <= len(store.dataset("stories")) < 100
    assert store.ingest(rows, dataset="stories", model=encoder).stored == 100


def test_afterwards_ctrl_c_is_what_it_was_before(store: OpenStore, encoder: SignatureEncoder) -> None:
    before = signal.getsignal(signal.SIGINT)
    store.ingest(story_rows(1), dataset="stories", model=encoder)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(Interrupted):
        store.ingest(story_rows(9), dataset="stories", model=encoder, progress=interrupt_after(0))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_another_thread_leaves_signals_alone(store: OpenStore, encoder: SignatureEncoder) -> None:
    before = signal.getsignal(signal.SIGINT)
    handlers: list[object] = []
    thread = threading.Thread(
        target=lambda: store.ingest(
            story_rows(3),
            dataset="stories",
            model=encoder,
            progress=lambda *_: handlers.append(signal.getsignal(signal.SIGINT)),
        )
    )
    thread.start()
    thread.join()
    assert set(handlers) == {before}
    assert len(store.dataset("stories")) == 3


def test_ctrl_c_reaches_a_run_that_waits_for_its_next_row(store: OpenStore, encoder: SignatureEncoder) -> None:
    more = threading.Event()
    given: list[int] = []

    def rows() -> Iterator[Row]:
        """A source that has no row for the moment: the user presses Ctrl-C and waits."""
        yield story_rows(1)[0]
        signal.raise_signal(signal.SIGINT)
        more.wait(30)
        for row in story_rows(5, start=1):
            given.append(1)
            yield row

    with pytest.raises(Interrupted, match="1 examples are stored"):
        store.ingest(rows(), dataset="stories", model=encoder)
    assert not given
    assert set(store.dataset("stories")) == {"row-0"}  # what the source gave is stored
    more.set()
    for thread in threading.enumerate():
        if thread.name == "rise-store-reader":
            thread.join(10)
            assert not thread.is_alive()
    assert len(given) <= 1
    assert len(store.dataset("stories")) == 1


def test_sigterm_is_an_interrupt_too(store: OpenStore, encoder: SignatureEncoder) -> None:
    presses = [signal.SIGTERM]

    def progress(totals: IngestTotals, tokens: int) -> None:
        if totals.new and presses:
            signal.raise_signal(presses.pop())

    with pytest.raises(Interrupted, match=r"stopped by SIGTERM; \d+ examples"):
        store.ingest(story_rows(300), dataset="stories", model=encoder, progress=progress)
