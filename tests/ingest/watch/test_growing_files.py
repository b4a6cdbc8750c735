"""JSON Lines that are appended to, renamed, rotated, cut short, replaced and deleted while a watch follows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, forward_passes, story_rows
from tests.ingest.watch.sessions import append, runs, watch_once, watching


def test_appended_lines_are_stored_and_the_run_closes(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    rows = story_rows(6)
    file = tmp_path / "a.jsonl"
    append(file, *rows[:2])
    with watching(store, encoder, tmp_path) as session:
        session.wait_for("row-0", "row-1")
        append(file, rows[2])
        session.wait_for("row-2")
        append(tmp_path / "b.jsonl", *rows[3:])
        session.wait_for("row-5")
    assert session.report is not None
    assert (session.report.state, session.report.new, session.report.stored) == ("COMPLETE", 6, 6)
    assert session.texts() == {row["id"]: row["text"] for row in rows}
    (run,) = runs(store)
    assert (run.mode, run.state, run.found, run.rows) == ("watch", "COMPLETE", 6, 6)
    point = store.dataset("stories")["row-2"]
    start = sum(len(line) for line in file.read_bytes().splitlines(keepends=True)[:2])
    assert point.payload["read_from"] == {
        "file": str(file), "row": 3, "start": start, "end": file.stat().st_size
    }  # fmt: skip


def test_half_a_line_waits_for_its_newline(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    append(file, story_rows(1)[0], b'{"id": "half", "text": "She loved to play')
    with watching(store, encoder, file) as session:
        session.wait_for("row-0")
        append(file, b" outside")
        append(tmp_path / "ignored.jsonl", {"id": "other", "text": "Not a source of this watch."})
        append(file, b' in the park."}\n')
        session.wait_for("half")
    assert session.texts()["half"] == "She loved to play outside in the park."
    assert session.report is not None
    assert session.report.rejected == 0
    assert set(session.texts()) == {"row-0", "half"}


def test_another_session_goes_on_where_the_last_one_was(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(3), b"\n\n")
    assert watch_once(store, encoder, tmp_path).new == 3
    append(file, *story_rows(2, start=3))
    again = watch_once(store, encoder, tmp_path)
    assert (again.new, again.unchanged) == (2, 0)  # nothing was read twice
    nothing = watch_once(store, encoder, tmp_path)
    assert (nothing.new, nothing.unchanged, nothing.state) == (0, 0, "COMPLETE")
    assert store.dataset("stories")["row-4"].payload["read_from"]["row"] == 7  # the blank lines count


def test_other_settings_read_from_the_start(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", *story_rows(3))
    watch_once(store, encoder, tmp_path)
    with forward_passes() as ran:
        again = watch_once(store, encoder, tmp_path, keep_text="none")
    assert (again.updated, ran) == (3, [])


def test_a_later_line_replaces_an_earlier_one_of_its_id(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    first, second = story_rows(2)
    append(file, first, second | {"id": "row-0"}, {"id": "row-0", "text": "The end of the story."})
    report = watch_once(store, encoder, file)
    assert (report.new, report.replaced, report.stored, report.state) == (1, 2, 1, "COMPLETE")
    assert store.dataset("stories")["row-0"].payload["text"] == "The end of the story."


def test_a_renamed_file_goes_on(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    old, new = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    append(old, *story_rows(2))
    with watching(store, encoder, tmp_path) as session:
        session.wait_for("row-1")
        old.rename(new)
        append(new, *story_rows(1, start=2))
        session.wait_for("row-2")
    assert session.report is not None
    assert (session.report.new, session.report.unchanged) == (3, 0)
    new.rename(old)
    append(old, *story_rows(1, start=3))
    again = watch_once(store, encoder, tmp_path)
    assert (again.new, again.unchanged) == (1, 0)


def test_a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_start(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    log, rotated = tmp_path / "a.jsonl", tmp_path / "a.jsonl.1"
    rows = story_rows(7)
    append(log, *rows[:2])
    with watching(store, encoder, log) as session:
        session.wait_for("row-1")
        writer = log.open("ab", buffering=0)
        log.rename(rotated)
        writer.write(b"".join(line for line in _lines(rows[2:3])))  # its writer still has it open
        append(log, *rows[3:5])
        session.wait_for("row-2", "row-4")
        writer.write(b"".join(line for line in _lines(rows[5:6])))
        writer.close()
        append(log, rows[6])
        session.wait_for("row-5", "row-6")
    assert session.report is not None
    assert (session.report.new, session.report.unchanged) == (7, 0)
    rotated.rename(tmp_path / "a.jsonl.2")
    log.rename(rotated)
    append(log, *story_rows(1, start=7))
    again = watch_once(store, encoder, log)
    assert (again.new, again.unchanged) == (1, 0)


def test_a_file_that_was_cut_short_is_read_from_its_start(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(4))
    with watching(store, encoder, file) as session:
        session.wait_for("row-3")
        file.write_bytes(b"".join(_lines(story_rows(1, start=4))))
        session.wait_for("row-4")
        append(file, *story_rows(1, start=5))
        session.wait_for("row-5")
    assert session.report is not None
    assert (session.report.new, session.report.unchanged) == (6, 0)


def test_a_replaced_file_is_read_from_its_start_for_nothing(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(3))
    watch_once(store, encoder, file)
    draft = tmp_path / "draft"
    append(draft, *story_rows(4))
    os.replace(draft, file)
    again = watch_once(store, encoder, file)
    assert (again.new, again.unchanged) == (1, 3)
    # in place, and longer than before
    file.write_bytes(b"".join(_lines(story_rows(6, start=1))))
    again = watch_once(store, encoder, file)
    assert (again.new, again.unchanged) == (3, 3)


def test_examples_of_a_deleted_file_stay(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(2))
    with watching(store, encoder, tmp_path, poll=0.1) as session:
        session.wait_for("row-1")
        file.unlink()
        catalogue = store.backend.catalogue()
        session.wait(lambda: catalogue.count("position") == 0)
        append(file, *story_rows(1, start=2))
        session.wait_for("row-2")
    assert set(session.texts()) == {"row-0", "row-1", "row-2"}


def _lines(rows: list[dict[str, object]]) -> list[bytes]:
    import orjson

    return [orjson.dumps(row) + b"\n" for row in rows]


def test_a_file_that_could_not_be_opened_is_tried_again(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(2))

    def refused(address: str) -> None:
        raise PermissionError(13, "Permission denied", address)

    with watching(store, encoder, tmp_path, poll=0.2) as session:
        session.wait_for("row-1")
        with monkeypatch.context() as drive:
            drive.setattr("rise_store.ingest.watch.growing.open_bytes", refused)
            append(file, *story_rows(1, start=2))
            session.wait(lambda: session.troubles)
        session.wait_for("row-2")
    assert session.troubles == [f"{file}: cannot be read: Permission denied"]
    assert session.report is not None
    assert (session.report.new, session.report.unchanged) == (3, 0)


def test_a_new_folder_with_files_in_it(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "watched", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    append(elsewhere / "a.jsonl", *story_rows(2))
    with watching(store, encoder, folder) as session:
        session.wait(lambda: store.backend.spaces())
        elsewhere.rename(folder / "moved")
        session.wait_for("row-1")
        (folder / "moved").rename(folder / "again")
        append(folder / "again" / "a.jsonl", *story_rows(1, start=2))
        session.wait_for("row-2")
    assert session.report is not None
    assert (session.report.new, session.report.unchanged) == (3, 0)
