"""Files that are read as wholes, folders full of them, addresses of fsspec, and standard input."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import orjson
import pytest

from rise_store import InputError
from rise_store.records import WatchStatus
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SMALL, OpenStore, Row, story_rows, write_rows
from tests.ingest.watch.sessions import append, runs, texts_of, watch_once, watching


def test_documents_are_replaced_when_they_change(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "old").mkdir(parents=True)
    (folder / "a.md").write_text("# The key\n\nOne day the dog found a shiny key.")
    (folder / "old" / "b.txt").write_text("Her mother did not know.")
    (folder / ".hidden.txt").write_text("Not to be seen by anybody.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    with watching(store, encoder, folder) as session:
        session.wait_for("a.md", "old/b.txt")
        (folder / "a.md").write_text("# The key\n\nIt opened a small box.")
        session.wait(lambda: "small box" in session.texts()["a.md"])
    assert session.report is not None
    assert (session.report.new, session.report.replaced, session.report.stored) == (2, 1, 2)
    assert session.report.state == "COMPLETE"
    assert store.ingest(folder, dataset="stories", model=encoder).new == 0  # they have the same ids
    again = watch_once(store, encoder, folder)
    assert (again.new, again.replaced, again.unchanged) == (0, 0, 0)


def test_a_document_that_is_touched_is_read_again(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("One day the dog found a shiny key.")
    with watching(store, encoder, tmp_path) as session:
        session.wait_for("a.md")
        os.utime(file)
        session.wait(lambda: len(session.statuses) == 2)
    assert session.report is not None
    assert (session.report.state, session.report.new, session.report.unchanged) == ("COMPLETE", 1, 1)


def test_a_file_that_is_still_written_is_left_until_it_is_quiet(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    with watching(store, encoder, tmp_path) as session:
        file.write_text("id,text\n")
        for row in story_rows(4):
            with file.open("a") as out:
                out.write(f"{row['id']},{row['text']}\n")
            time.sleep(0.6)
            assert session.texts() == {}
        session.wait_for("row-3")
        assert len(session.statuses) == 1  # in one block
    assert session.report is not None
    assert session.report.rejected == 0


def test_compressed_lines_and_tables(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"".join(orjson.dumps(row) + b"\n" for row in story_rows(2))))
    (tmp_path / "b.csv").write_text("id,text\nc,She loved to play outside in the park.\n")
    damaged = tmp_path / "c.jsonl.gz"
    damaged.write_bytes(gzip.compress(orjson.dumps(story_rows(1, start=2)[0]) + b"\n" * 10_000)[:-20])
    troubles: list[str] = []
    report = watch_once(store, encoder, tmp_path, on_trouble=troubles.append)
    assert (report.new, report.state) == (4, "COMPLETE")
    assert [trouble.split(":")[0] for trouble in troubles] == [str(damaged)]
    assert watch_once(store, encoder, tmp_path, on_trouble=troubles.append).unchanged == 1  # of the damaged one
    damaged.write_bytes(gzip.compress(b"".join(orjson.dumps(row) + b"\n" for row in story_rows(2, start=2))))
    assert watch_once(store, encoder, tmp_path).new == 1


@pytest.mark.parametrize("files", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_files_at_once(store: OpenStore, tiny_model: Path, tmp_path: Path, files: int) -> None:
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", batch_tokens=2_048)
    folder = tmp_path / "many"
    folder.mkdir()
    texts = [row["text"] for row in story_rows(1_000)]  # equal texts share one signature: this is about files
    with watching(store, encoder, folder, batch=500) as session:
        session.wait(lambda: session.store.backend.spaces())
        for number in range(files):
            (folder / f"{number}.txt").write_text(texts[number % 1_000])
        session.wait(lambda: session.handled >= files, seconds=120)
    assert session.report is not None
    assert (session.report.stored, session.report.new) == (files, files)
    assert store.backend.catalogue().count("position") == files
    started = time.monotonic()
    again = watch_once(store, encoder, folder)
    assert (again.new, again.unchanged) == (0, 0)
    assert time.monotonic() - started < 20


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/watched", recursive=True)


def test_addresses_are_polled(store: OpenStore, encoder: SignatureEncoder, memory: fsspec.AbstractFileSystem) -> None:
    def put(name: str, rows: list[Row], mode: str) -> None:
        with memory.open(f"/watched/{name}", mode) as file:
            file.write(b"".join(orjson.dumps(row) + b"\n" for row in rows))

    put("a.jsonl", story_rows(2), "wb")
    with watching(store, encoder, "memory://watched", poll=0.1) as session:
        session.wait_for("row-1")
        put("a.jsonl", story_rows(1, start=2), "ab")
        put("below/b.jsonl", story_rows(1, start=3), "wb")
        session.wait_for("row-2", "row-3")
    assert session.report is not None
    assert (session.report.new, session.report.unchanged) == (4, 0)
    put("a.jsonl", story_rows(1, start=4), "ab")
    again = watch_once(store, encoder, "memory://watched/")  # the same folder
    assert (again.new, again.unchanged) == (1, 0)
    assert store.dataset("stories")["row-4"].payload["read_from"]["file"] == "memory://watched/a.jsonl"


def test_standard_input_until_its_end(
    store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = story_rows(5)
    reading, writing = os.pipe()
    stdin = io.TextIOWrapper(io.FileIO(reading))
    monkeypatch.setattr(sys, "stdin", stdin)

    def write() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            pipe.write(orjson.dumps(rows[0]) + b"\n")
            deadline = time.monotonic() + 20
            while "row-0" not in texts_of(store) and time.monotonic() < deadline:
                time.sleep(0.05)
            pipe.write(b"".join(orjson.dumps(row) + b"\n" for row in rows[1:]) + b"no JSON\n")
            pipe.write(b'{"id": "last", "text": "Without a newline at its end."}')

    writer = threading.Thread(target=write)
    writer.start()
    report = store.watch("-", dataset="stories", model=encoder, max_delay=0.1)
    writer.join()
    stdin.close()
    assert (report.state, report.new, report.rejected) == ("COMPLETE", 6, 1)
    assert report.rejects[0].startswith("<stdin>:6: malformed JSON")


def test_what_was_read_of_standard_input_is_stored_when_the_watch_is_stopped(
    store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    with io.TextIOWrapper(io.FileIO(reading)) as stdin, open(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        pipe.write(b"".join(orjson.dumps(row) + b"\n" for row in story_rows(100)))
        stop = threading.Event()

        def on_block(_: WatchStatus) -> None:
            if not stop.is_set():
                time.sleep(0.5)  # until all rows are read
            stop.set()

        report = store.watch("-", dataset="stories", model=encoder, batch=5, stop=stop, on_block=on_block)
    assert (report.state, report.new) == ("COMPLETE", 100)


def test_broken_standard_input_fails_the_watch_behind_its_rows(
    store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"".join(orjson.dumps({**row, "salt": os.urandom(50).hex()}) + b"\n" for row in story_rows(50))
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe:
        pipe.write(gzip.compress(data)[:-20])
    with io.TextIOWrapper(io.FileIO(reading)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(InputError, match="<stdin>"):
            store.watch("-", dataset="stories", model=encoder, max_delay=0.1)
    assert len(texts_of(store)) > 0
    assert runs(store)[0].state == "FAILED"


def test_standard_input_is_json_lines(store: OpenStore, encoder: SignatureEncoder) -> None:
    with pytest.raises(InputError, match="JSON Lines, not as csv"):
        watch_once(store, encoder, "-", format="csv")


def test_file_names_need_not_be_utf_8(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for name, row in zip((b"a\xff.jsonl", b"b\xff.csv", b"c\xff.md"), story_rows(3), strict=True):
        text = orjson.dumps(row) if name.endswith(b"jsonl") else f"id,text\n{row['id']},{row['text']}".encode()
        with open(os.path.join(folder, name), "wb") as file:
            file.write(text + b"\n")
    report = watch_once(store, encoder, tmp_path)
    assert (report.state, report.new, report.rejected) == ("COMPLETE", 3, 0)
    assert watch_once(store, encoder, tmp_path).unchanged == 0  # it is known how far they were read


@pytest.mark.parametrize("known", [False, True])
def test_one_bad_entry_does_not_hide_the_others(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path, known: bool
) -> None:
    append(tmp_path / "a.jsonl", *story_rows(1))
    loop = tmp_path / "loop.jsonl"
    if known:
        append(loop, *story_rows(1, start=1))
        watch_once(store, encoder, tmp_path)
        loop.unlink()
    loop.symlink_to(loop.name)  # cannot even be looked at
    with watching(store, encoder, tmp_path, poll=0.1) as session:
        append(tmp_path / "a.jsonl", *story_rows(1, start=2))
        session.wait_for("row-0", "row-2")
    assert session.report is not None
    assert session.report.state == "COMPLETE"
    assert store.backend.catalogue().count("position") == 1 + known


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere/logs/a.jsonl", "there is no folder"),
        ("nowhere/**/*.jsonl", "there is no folder"),
        ("hf-dataset:a/b", "cannot be watched"),
        ("xyz://bucket/a.jsonl", "unknown protocol"),
    ],
)
def test_what_cannot_be_watched(store: OpenStore, encoder: SignatureEncoder, source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        watch_once(store, encoder, source)


@pytest.mark.parametrize("source", ["{}/nodir", "{}/a.jsonl", "memory://nowhere/logs"])
def test_once_tells_of_a_source_that_is_not_there(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path, source: str
) -> None:
    with pytest.raises(InputError, match="no such file or folder; check the path, or leave out --once"):
        watch_once(store, encoder, source.format(tmp_path))
    assert runs(store) == []


def test_once_passes_over_a_log_that_was_rotated_away_and_a_pattern_of_nothing(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    log = tmp_path / "a.jsonl"
    append(log, *story_rows(1))
    watch_once(store, encoder, log)
    log.unlink()
    assert watch_once(store, encoder, log, tmp_path / "*.csv").state == "COMPLETE"


def test_a_pattern_waits_for_what_matches_it(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    with watching(store, encoder, tmp_path / "**" / "*.jsonl") as session:
        session.wait(lambda: session.store.backend.spaces())
        (tmp_path / "deep" / "deeper").mkdir(parents=True)
        write_rows(tmp_path / "deep" / "deeper" / "a.jsonl", story_rows(1))
        write_rows(tmp_path / "b.ndjson", story_rows(1, start=1))
        session.wait_for("row-0")
        append(tmp_path / "deep" / "deeper" / "a.jsonl", *story_rows(1, start=2))
        session.wait_for("row-2")
    assert set(session.texts()) == {"row-0", "row-2"}
