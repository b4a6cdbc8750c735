"""Runs that are killed at any step, repeated, and done by two processes at once: they close COMPLETE, and add up."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rise_store import Dataset
from rise_store.corpus import ExampleReader
from rise_store.ingest import Block, RunContext, RunLedger, ingest_block
from rise_store.ingest.blocks import Blocks
from rise_store.records import IngestReport, IngestTotals, Run
from rise_store.signature import SignatureEncoder
from rise_store.store import Collection, open_store
from tests.ingest.examples import OpenStore, Row, forward_passes, quick_folder, story_rows
from tests.ingest.sources import BAD, Rows, rows_reader


class Kill(BaseException):
    """A process that ends, with nothing more to say."""


STEPS = (  # what an attempt does for a block, and to close
    "rise_store.ingest.schedule.plan_block",
    "rise_store.ingest.encoding.encode_texts",
    "rise_store.ingest.schedule.store_block",
    "rise_store.store.embedded.collection.EmbeddedCollection.set_payload",
    "rise_store.store.embedded.collection.EmbeddedCollection.upsert",
    "rise_store.store.embedded.catalogue.EmbeddedCatalogue.put",
    "rise_store.ingest.runs.ledger.write_receipt",
    "rise_store.ingest.runs.ledger.named_by",
    "rise_store.ingest.runs.ledger.mark_vanished",
)


def dying_at(step: str, time: int, *, before: bool) -> AbstractContextManager[object]:
    """Die when the step is taken for that time: before anything happened in it, or after all of it."""
    real = resolve_name(step)
    calls = 0

    def dying(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if before and calls == time:
            raise Kill
        result = real(*arguments, **named)
        if calls == time:
            raise Kill
        return result

    return patch(step, dying)


def attempt(
    store: OpenStore, encoder: SignatureEncoder, rows: list[Row], block_rows: int, **options: Any
) -> IngestReport:
    with patch("rise_store.ingest.blocks.BLOCK_EXAMPLES", block_rows):
        return store.ingest(rows_reader(rows), dataset=Dataset(name="stories", version="2"), model=encoder, **options)


def check(store: OpenStore, report: IngestReport, rows: list[Row]) -> Run:
    """The run of a report adds up with itself and with the store."""
    assert (report.state, report.message) == ("COMPLETE", "")
    run = store.run(report.run_id)
    assert run.counts is not None
    assert (run.state, run.rows, run.covered, run.found) == ("COMPLETE", len(rows), len(rows), run.counts.written)
    counts = run.counts
    assert counts.stored + counts.too_short + counts.rejected + counts.refused == len(rows)
    assert store.check_run(run.id).agrees
    return run


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kills=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 4), st.booleans(), st.integers(1, 9)), max_size=4),
    last_block=st.integers(1, 9),
)
def test_a_run_that_is_killed_anywhere_closes_complete(
    encoder: SignatureEncoder, kills: list[tuple[str, int, bool, int]], last_block: int
) -> None:
    rows = story_rows(18)
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        store = OpenStore(backend)
        old = [
            {**row, "text": f"Old. {row['text']}"} if number % 5 == 0 else row for number, row in enumerate(rows[:12])
        ]
        gone = story_rows(3, start=50)
        store.ingest([*old, *gone], dataset=Dataset(name="stories", version="1"), model=encoder)
        for step, time, before, block_rows in kills:
            with dying_at(step, time, before=before):
                try:
                    attempt(store, encoder, rows, block_rows)
                except Kill:
                    continue
        report = attempt(store, encoder, rows, last_block)
        run = check(store, report, rows)
        first = store.runs(dataset="stories")[-2]  # which the first attempt began
        assert first.counts is not None
        assert (first.counts.replaced + first.counts.recovered + first.counts.new + first.counts.updated) == 18
        vanished = {key for key, point in store.dataset("stories").items() if "vanished_in" in point.payload}
        assert vanished == {row["id"] for row in gone}
        assert first.vanished == 3
        assert run.found in (0, 18)


def test_what_has_a_receipt_is_not_even_looked_at_again(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(12)
    with dying_at("rise_store.ingest.schedule.store_block", 3, before=True), pytest.raises(Kill):
        attempt(store, encoder, rows, 4)
    told: list[str] = []
    report = attempt(store, encoder, rows, 5, notify=told.append)
    assert told == [f"resuming run {report.run_id}: 8 rows are done"]
    assert (report.resumed_rows, report.new, report.recovered) == (8, 12, 0)
    assert check(store, report, rows).attempts == 2


def test_a_block_without_a_receipt_costs_no_second_forward_pass(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(4)
    with dying_at("rise_store.ingest.runs.ledger.write_receipt", 1, before=True), pytest.raises(Kill):
        attempt(store, encoder, rows, 4)
    with forward_passes() as ran:
        report = attempt(store, encoder, rows, 3)
    assert ran == []
    assert (report.new, report.recovered, report.tokens) == (0, 4, 0)
    check(store, report, rows)


def test_another_machine_may_have_the_files_in_another_folder(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(6)
    with patch("rise_store.ingest.blocks.BLOCK_EXAMPLES", 2):
        with dying_at("rise_store.ingest.runs.ledger.write_receipt", 2, before=True), pytest.raises(Kill):
            store.ingest(rows_reader(rows, "/data/stories.jsonl"), dataset="stories", model=encoder)
        report = store.ingest(rows_reader(rows, "D:\\corpora\\stories.jsonl"), dataset="stories", model=encoder)
    assert (report.resumed_rows, report.new, report.recovered) == (2, 4, 2)
    check(store, report, rows)


def test_another_text_is_another_run(store: OpenStore, encoder: SignatureEncoder) -> None:
    with dying_at("rise_store.ingest.schedule.store_block", 2, before=True), pytest.raises(Kill):
        attempt(store, encoder, story_rows(6), 3)
    report = attempt(store, encoder, story_rows(7), 3)
    assert (report.resumed_rows, report.new, report.unchanged) == (0, 4, 3)
    assert [run.state for run in store.runs()] == ["COMPLETE", "RUNNING"]


def test_an_iterable_is_never_resumed_but_skipped(store: OpenStore, encoder: SignatureEncoder) -> None:
    with dying_at("rise_store.ingest.runs.ledger.write_receipt", 1, before=True), pytest.raises(Kill):
        store.ingest(story_rows(6), dataset="stories", model=encoder)
    with forward_passes() as ran:
        report = store.ingest(story_rows(6), dataset="stories", model=encoder)
    assert ran == []
    assert (report.resumed_rows, report.unchanged, report.state) == (0, 6, "COMPLETE")


def test_a_key_that_comes_twice_in_a_stream_is_one_example(store: OpenStore, encoder: SignatureEncoder) -> None:
    (one, other) = story_rows(2)
    rows = [one, {**one, "text": "Something else."}, other, {**one, "text": "Something else."}, one]
    report = store.ingest(rows, dataset="stories", model=encoder)
    assert (report.state, report.new, report.replaced, report.unchanged) == ("COMPLETE", 2, 2, 1)
    counts = store.run(report.run_id).counts
    assert counts is not None
    assert (counts.superseded, counts.written, store.run(report.run_id).found) == (2, 2, 2)


def test_the_same_rejects_stop_a_run_at_the_same_row(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = [*story_rows(3), BAD, *story_rows(3, start=3), BAD]
    for _ in range(2):
        with pytest.raises(Exception, match=r"stories\.jsonl:4: malformed JSON"):
            attempt(store, encoder, rows, 2)
    report = attempt(store, encoder, rows, 3, max_rejects=2)
    assert (report.new, report.rejected, len(report.rejects)) == (6, 2, 2)
    assert [run.attempts for run in store.runs()] == [3]


class Attempt:
    """A process that does a run block by block, when it is its turn."""

    def __init__(self, store: OpenStore, encoder: SignatureEncoder, rows: list[Row], block_rows: int) -> None:
        (space,) = store.backend.spaces()
        self.collection: Collection = store.backend.open_collection(space.fingerprint)
        reader = rows_reader(rows)
        self.ledger = RunLedger.begin(
            store.backend.catalogue(), Dataset(name="stories"), space.fingerprint, reader.manifests(), {}
        )
        self.encoder, self.rows = encoder, len(rows)
        with patch("rise_store.ingest.blocks.BLOCK_EXAMPLES", block_rows):
            blocks = Blocks(
                reader, self.ledger, block_tokens=10**9, dim=encoder.dim, max_rejects=None, stop=lambda: False
            )
            self.blocks: list[Block] = list(blocks)

    def step(self) -> bool:
        """Do a block; False when there is none left."""
        if not self.blocks:
            return False
        run = RunContext(Dataset(name="stories"), id=self.ledger.run.id)
        self.ledger.record(ingest_block(self.blocks.pop(0), run, self.encoder, self.collection))
        return True


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=3),
    turns=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["step", "step", "step", "kill"])), max_size=20),
)
def test_processes_that_do_a_run_at_once_in_other_blocks_add_up(
    encoder: SignatureEncoder, sizes: list[int], turns: list[tuple[int, str]]
) -> None:
    rows = story_rows(15)
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        store = OpenStore(backend)
        store.ingest(story_rows(1, start=99), dataset="other", model=encoder)
        attempts = [Attempt(store, encoder, rows, size) for size in sizes]
        for number, turn in turns:
            which = number % len(attempts)
            if turn == "kill":
                attempts[which] = Attempt(store, encoder, rows, sizes[which])
            else:
                attempts[which].step()
        for one in attempts:
            while one.step():
                pass
            run = one.ledger.close(one.collection, len(rows))
            assert (run.state, run.message) == ("COMPLETE", "")
            assert run.counts is not None
            assert (run.counts.new, run.counts.recovered, run.found) == (15, 0, 15)


def test_a_process_that_is_stopped_late_does_not_reopen_a_run(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(1, start=99), dataset="other", model=encoder)
    quick, slow = (Attempt(store, encoder, story_rows(6), 3) for _ in range(2))
    while quick.step():
        pass
    slow.step()
    assert quick.ledger.close(quick.collection, 6).state == "COMPLETE"
    slow.ledger.stop("stopped by Ctrl-C")
    assert store.run(quick.ledger.run.id).state == "COMPLETE"


def test_examples_that_go_while_a_run_is_on_make_it_fail_and_say_why(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    rows = story_rows(6)

    def meanwhile(totals: IngestTotals, tokens: int) -> None:
        if totals.new == 3 and store.points.keys() >= {("stories", "row-0")}:
            store.delete(["row-0"], dataset="stories", yes=True)

    report = attempt(store, encoder, rows, 3, progress=meanwhile)
    assert report.state == "FAILED"
    assert report.message == (
        "1 of the 6 examples that the run stored do not name it any more: they were deleted since. If that was meant, "
        "all is well; if not, run the same command again: it stores what is missing, and no more"
    )
    again = attempt(store, encoder, rows, 3)
    assert (again.state, again.new, again.unchanged, again.resumed_rows) == ("COMPLETE", 1, 5, 0)
    assert [run.state for run in store.runs()] == ["COMPLETE", "FAILED"]


def test_another_run_that_writes_meanwhile_is_named(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(6)

    def meanwhile(totals: IngestTotals, tokens: int) -> None:
        if totals.new == 3 and len(store.runs()) == 1:
            store.ingest([rows[1] | {"metadata": {"by": "Ada"}}], dataset="stories", model=encoder)

    report = attempt(store, encoder, rows, 3, progress=meanwhile)
    other = next(run for run in store.runs() if run.id != report.run_id)
    assert (
        f"1 of the 6 examples that the run stored do not name it any more: run {other.id} has written" in report.message
    )


def test_a_place_that_holds_another_row_later_is_one_example_of_a_watch(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    (row,) = story_rows(1)
    store.ingest(story_rows(1, start=99), dataset="other", model=encoder)
    (space,) = store.backend.spaces()
    collection = store.backend.open_collection(space.fingerprint)
    dataset = Dataset(name="stories")
    ledger = RunLedger.begin(store.backend.catalogue(), dataset, space.fingerprint, (), {}, mode="watch")
    run = RunContext(dataset, id=ledger.run.id, growing=True)
    for position, text in enumerate(["One.", "Another.", "Another."], 1):  # a file that is written anew, twice
        (example,) = rows_reader([row | {"text": text}])
        ledger.record(ingest_block(Block((example,), position), run, encoder, collection))
    closed = ledger.close(collection, 3)
    assert (closed.state, closed.found) == ("COMPLETE", 1)
    assert (ledger.counts.new, ledger.counts.replaced, ledger.counts.unchanged) == (1, 1, 1)


def test_a_run_without_news_is_seen_by_its_last_receipt(store: OpenStore, encoder: SignatureEncoder) -> None:
    with dying_at("rise_store.ingest.schedule.store_block", 3, before=True), pytest.raises(Kill):
        attempt(store, encoder, story_rows(12), 4)
    (run,) = store.runs(state="RUNNING")
    assert run.last_receipt_at is not None
    assert run.last_receipt_at >= run.started_at
    whole = store.run(run.id[:8])
    assert whole.counts is not None
    assert (whole.counts.new, whole.blocks) == (8, 2)


def test_an_erasure_meanwhile_is_named_and_what_it_erased_stays_away(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    rows = story_rows(6)

    def meanwhile(totals: IngestTotals, tokens: int) -> None:
        if totals.new == 3 and ("stories", "row-0") in store.points:
            store.delete(["row-0"], dataset="stories", tombstone=True, yes=True)

    report = attempt(store, encoder, rows, 3, progress=meanwhile)
    assert report.state == "FAILED"
    assert "do not name it any more: 1 were erased since in all of the store, the last by erasure" in report.message
    again = attempt(store, encoder, rows, 3)
    assert (again.state, again.new, again.unchanged, again.refused) == ("COMPLETE", 0, 5, 1)


def test_unchanged_rows_that_go_between_two_attempts_are_stored_again(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    rows = [row | {"license": "free"} for row in story_rows(12)]
    attempt(store, encoder, rows[:6], 3)
    with dying_at("rise_store.ingest.schedule.store_block", 4, before=True), pytest.raises(Kill):
        attempt(store, encoder, rows, 3)  # receipts of 6 unchanged rows and 3 new ones
    store.delete(["row-1", "row-4"], dataset="stories", yes=True)
    report = attempt(store, encoder, rows, 3)
    assert (report.resumed_rows, report.new, report.unchanged, report.stored) == (3, 8, 4, 12)
    assert report.unknown_licenses == {"free": 12}
    assert store.dataset("stories").keys() == {row["id"] for row in rows}
    check(store, report, rows)


def test_where_keys_repeat_the_last_row_wins_also_after_a_kill(store: OpenStore, encoder: SignatureEncoder) -> None:
    (one, other) = story_rows(2)
    rows = [BAD, one, other, {**one, "text": "Something else."}]  # the block of the bad row is read again
    for blocks in (2, 3):
        reader = ExampleReader([Rows(rows, "stories.jsonl")], distinct=False)
        killed = dying_at("rise_store.ingest.runs.ledger.named_by", 1, before=True) if blocks == 2 else nullcontext()
        with patch("rise_store.ingest.blocks.BLOCK_EXAMPLES", blocks), killed, suppress(Kill):
            report = store.ingest(reader, dataset="stories", model=encoder, max_rejects=None)
    assert (report.state, report.resumed_rows) == ("COMPLETE", 0)
    assert store.dataset("stories")["row-0"].payload["text"] == "Something else."
