"""What a run tells while it works, and its summary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rise_store import Example, InputError
from rise_store.corpus import read_examples
from rise_store.records import IngestTotals
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, Row, story_rows, write_rows


class Watched:
    """A progress callback that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[IngestTotals, int]] = []

    def __call__(self, totals: IngestTotals, tokens: int) -> None:
        self.told.append((totals, tokens))


def test_progress_is_told_of_every_batch_and_block(store: OpenStore, encoder: SignatureEncoder) -> None:
    progress = Watched()
    report = store.ingest(story_rows(100), dataset="stories", model=encoder, progress=progress)
    tokens = [tokens for _, tokens in progress.told]
    stored = [totals.new for totals, _ in progress.told]
    assert tokens == sorted(tokens)
    assert stored == sorted(stored)
    assert progress.told[-1][0].new == report.new == 100
    assert tokens[-1] == report.tokens
    assert len(progress.told) > report.tokens / encoder.batch_tokens
    assert len(set(stored)) > 3  # blocks are stored on the way, not at the end


def test_progress_is_told_of_rows_that_are_known(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(5), dataset="stories", model=encoder)
    progress = Watched()
    store.ingest(story_rows(5), dataset="stories", model=encoder, progress=progress)
    assert [(totals.unchanged, tokens) for totals, tokens in progress.told] == [(5, 0)]


def test_progress_can_follow_the_bytes_of_a_reader(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    reader = read_examples([write_rows(tmp_path / "stories.jsonl", story_rows(30))])
    shares: list[float] = []
    store.ingest(
        reader,
        dataset="stories",
        model=encoder,
        progress=lambda *_: shares.append(reader.bytes_read / (reader.total_bytes or 1)),
    )
    assert shares[-1] == 1


def test_the_bytes_of_a_reader_keep_to_the_rows_that_it_gave(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "stories.jsonl", story_rows(4_000))  # some 400 KB, minutes for a model on a CPU
    reader = read_examples([file])
    shares = [reader.bytes_read / (reader.total_bytes or 1) for _ in reader]
    # a bar at 100 % shows no time that is left
    assert shares[0] < 0.25
    assert shares[len(shares) // 2] == pytest.approx(0.5, abs=0.25)


def test_rows_are_read_as_they_are_needed(store: OpenStore, encoder: SignatureEncoder) -> None:
    read = 0
    ahead: list[int] = []

    def rows() -> Iterator[Row]:
        nonlocal read
        for row in story_rows(400):
            read += 1
            yield row

    store.ingest(rows(), dataset="stories", model=encoder, progress=lambda totals, _: ahead.append(read - totals.new))
    # Four blocks of 30 rows are under way: one at the store and one waiting for it, one at the model and one waiting
    # for it; a fifth one is formed.
    assert max(ahead) < 170


def test_the_report_adds_up(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = story_rows(6)
    store.ingest(rows[:4], dataset="stories", model=encoder)
    rows[0]["text"], rows[1]["metadata"] = "A new beginning.", {"good": True}
    report = store.ingest([*rows, {"id": "empty"}], dataset="stories", model=encoder, max_rejects=1)
    assert (report.new, report.replaced, report.updated, report.unchanged, report.rejected) == (2, 1, 1, 2, 1)
    assert report.stored == 6
    assert report.dataset == "stories"
    assert report.space == encoder.fingerprint
    assert report.tokens == encoder.encode(["A new beginning.", *(row["text"] for row in rows[4:])]).token_counts.sum()
    assert report.tokens_per_second == pytest.approx(report.tokens / report.seconds, rel=0.1)


def test_each_run_has_an_id_of_its_own(store: OpenStore, encoder: SignatureEncoder) -> None:
    runs = {store.ingest([], dataset="stories", model=encoder).run_id for _ in range(3)}
    assert len(runs) == 3


def test_an_empty_corpus_is_no_error(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "empty.jsonl", [])
    report = store.ingest(file, dataset="stories", model=encoder)
    assert (report.new, report.tokens, report.stored) == (0, 0, 0)


def test_several_files_are_one_corpus(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    files = [write_rows(tmp_path / f"{start}.jsonl", story_rows(3, start)) for start in (0, 3)]
    report = store.ingest(files, dataset="stories", model=encoder)
    assert (report.new, report.stored) == (6, 6)


def test_records_rows_and_generators_can_be_mixed(store: OpenStore, encoder: SignatureEncoder) -> None:
    corpus = [Example(id="record", text="Lily found a key."), {"id": "row", "prompt": "Who?", "generation": " Lily."}]
    assert store.ingest((item for item in corpus), dataset="stories", model=encoder).new == 2


def test_other_things_than_examples_are_refused(store: OpenStore, encoder: SignatureEncoder) -> None:
    with pytest.raises(InputError, match="row 2 is a int"):
        store.ingest([story_rows(1)[0], 7], dataset="stories", model=encoder)  # type: ignore[list-item]


def test_an_error_of_the_callers_own_iterator_passes_through(store: OpenStore, encoder: SignatureEncoder) -> None:
    def rows() -> Iterator[Row]:
        yield from story_rows(2)
        raise LookupError("the database went away")

    with pytest.raises(LookupError, match="went away"):
        store.ingest(rows(), dataset="stories", model=encoder)
    assert store.ingest(story_rows(2), dataset="stories", model=encoder).stored == 2
