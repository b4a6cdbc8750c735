"""Rows that were not stored, kept in a file: with the reason, the place, and what stood there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from rise_store import InputError
from rise_store.ingest import DeadLetters
from rise_store.records import Reject
from rise_store.signature import SignatureEncoder
from rise_store.store import Erasure, Identity, Tombstones
from tests.ingest.examples import OpenStore, Row, story_rows, write_rows

BROKEN = b'{"id": "broken", "text": '


def letters(file: Path) -> list[Reject]:
    return [Reject.model_validate_json(line) for line in file.read_text().splitlines()]


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Five rows, of which the second is broken and the fourth has no text."""
    rows: list[Row | bytes] = list(story_rows(5))
    rows[1], rows[3] = BROKEN, {"id": "row-3", "title": "Nothing"}
    return write_rows(tmp_path / "feed.jsonl", rows)


def test_rejected_rows_go_to_a_file(store: OpenStore, encoder: SignatureEncoder, feed: Path, tmp_path: Path) -> None:
    file = tmp_path / "rejects-{run}.jsonl"
    report = store.ingest(feed, dataset="stories", model=encoder, max_rejects=None, rejects=file)
    assert report.rejects_file == str(tmp_path / f"rejects-{report.run_id[:8]}.jsonl")
    broken, textless = letters(Path(report.rejects_file))
    assert (broken.kind, broken.location, broken.row) == ("rejected", f"{feed}:2", BROKEN.decode() + "\n")
    assert broken.reason.startswith(f"{feed}:2: malformed JSON")
    assert textless.origin is not None
    assert (textless.origin.file, textless.origin.row) == (str(feed), 4)
    assert textless.row == {"id": "row-3", "title": "Nothing"}
    if os.name == "posix":
        assert stat.S_IMODE(os.stat(report.rejects_file).st_mode) == 0o600  # they are data


def test_no_file_where_nothing_was_rejected(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    report = store.ingest(story_rows(3), dataset="stories", model=encoder, rejects=tmp_path / "rejects.jsonl")
    assert report.rejects_file is None
    assert list(tmp_path.iterdir()) == []


def test_mended_rows_are_read_back(store: OpenStore, encoder: SignatureEncoder, feed: Path, tmp_path: Path) -> None:
    file = tmp_path / "rejects.jsonl"
    store.ingest(feed, dataset="stories", model=encoder, max_rejects=None, rejects=file)
    # what `jq -c .row` and an editor do
    mended = [{"id": "broken", "text": "Mended."}, letters(file)[1].row | {"text": "Now there is something."}]
    report = store.ingest(write_rows(tmp_path / "mended.jsonl", mended), dataset="stories", model=encoder)
    assert (report.new, report.stored) == (2, 5)


def test_rows_of_an_iterable_are_kept_as_they_are(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    rows = story_rows(2)
    rows[1]["metadata"] = {"deep": 2**70}  # more than a store can hold
    report = store.ingest(rows, dataset="stories", model=encoder, max_rejects=None, rejects=tmp_path / "rejects.jsonl")
    (letter,) = letters(tmp_path / "rejects.jsonl")
    assert (report.new, letter.location) == (1, "row 2")
    assert letter.row == rows[1]


def test_anything_that_stood_there_can_be_kept(tmp_path: Path) -> None:
    file = DeadLetters(tmp_path / "rejects.jsonl", "run")
    file.write(
        [Reject(reason="bad", row=row) for row in ({"n": float("nan")}, b"\xff", "\ud800", {"a": object()}, 2**70)]
    )
    rows = [json.loads(line)["row"] for line in file.path.read_text().splitlines()]
    assert [type(row) for row in rows] == [dict, str, str, dict, int]


def test_half_a_line_that_a_kill_left_swallows_no_reject(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    path.write_text('{"reason": "one"}\n{"reason": "tw')
    for reason in ("three", "four"):
        DeadLetters(path, "run").write([Reject(reason=reason)])
    whole, half, *others = path.read_text().splitlines()
    assert (whole, half) == ('{"reason": "one"}', '{"reason": "tw')
    assert [Reject.model_validate_json(line).reason for line in others] == ["three", "four"]


def test_what_was_erased_leaves_no_text_behind(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    rows = story_rows(2)
    store.ingest([], dataset="stories", model=encoder)
    Tombstones(store.backend.catalogue()).add([Identity("stories", rows[1]["id"], "0" * 64)], Erasure.begin())
    report = store.ingest(rows, dataset="stories", model=encoder, rejects=tmp_path / "rejects.jsonl")
    (letter,) = letters(tmp_path / "rejects.jsonl")
    assert (report.new, report.refused, report.state) == (1, 1, "COMPLETE")
    assert (letter.kind, letter.row) == ("refused", None)
    assert rows[1]["text"] not in (tmp_path / "rejects.jsonl").read_text()


def test_a_run_that_stops_says_where_they_are(
    store: OpenStore, encoder: SignatureEncoder, feed: Path, tmp_path: Path
) -> None:
    file = tmp_path / "rejects.jsonl"
    with pytest.raises(InputError, match=f"rejected rows are in {file}"):
        store.ingest(feed, dataset="stories", model=encoder, max_rejects=1, rejects=file)
    assert len(letters(file)) == 2


def test_a_file_that_cannot_be_written_is_told_before_the_first_row(
    store: OpenStore, encoder: SignatureEncoder, feed: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"cannot write rejected rows to .*: name a file in a folder that exists"):
        store.ingest(feed, dataset="stories", model=encoder, rejects=tmp_path / "nowhere" / "rejects.jsonl")
    assert store.dataset("stories") == {}
