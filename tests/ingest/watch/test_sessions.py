"""What a watch tells, what it leaves out, and when it stops."""

from __future__ import annotations

import socket
import time
import urllib.request
from pathlib import Path

import orjson
import pytest

from rise_store import ConfigError, InputError
from rise_store.records import Reject, WatchStatus
from rise_store.signature import SignatureEncoder
from rise_store.store import Erasure, Identity, Tombstones
from tests.ingest.examples import SMALL, OpenStore, story_rows
from tests.ingest.models import with_nan_at
from tests.ingest.watch.sessions import append, runs, watch_once, watching


def test_bad_rows_are_left_out_and_kept(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    append(file, story_rows(1)[0], b"no JSON\n", {"id": "short", "text": ""}, {"id": "x"}, *story_rows(1, start=1))
    with watching(store, encoder, tmp_path, rejects=tmp_path / "rejects-{run}.jsonl") as session:
        session.wait_for("row-1")
        append(file, *story_rows(1, start=2))
        session.wait_for("row-2")
    report = session.report
    assert report is not None
    assert (report.state, report.new, report.rejected) == ("COMPLETE", 3, 3)
    (rejects,) = tmp_path.glob("rejects-*.jsonl")  # in a folder that is watched, and no source of its own
    assert report.rejects_file == str(rejects)
    assert [Reject.model_validate_json(line).location for line in rejects.read_text().splitlines()] == [
        f"{file}:{line}" for line in (2, 3, 4)
    ]


def test_too_many_bad_rows_stop_it(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", *story_rows(2), b"no JSON\n", b"nor this\n")
    with pytest.raises(InputError, match=r"2 rows rejected, 1 allowed"):
        watch_once(store, encoder, tmp_path, max_rejects=1)
    assert len(store.points) == 2
    assert runs(store)[0].state == "FAILED"


def test_what_was_erased_does_not_come_back(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = story_rows(3)
    append(file, rows[0])
    watch_once(store, encoder, file)
    tombstones = Tombstones(store.backend.catalogue())
    tombstones.add([Identity("stories", "row-1", "0" * 64)], Erasure.begin("on request"))
    append(file, *rows[1:])
    report = watch_once(store, encoder, file)
    assert (report.state, report.new, report.refused) == ("COMPLETE", 1, 1)
    assert set(store.dataset("stories")) == {"row-0", "row-2"}


def test_a_text_without_a_finite_signature_is_a_bad_row(store: OpenStore, tiny_model: Path, tmp_path: Path) -> None:
    model = with_nan_at(tiny_model, tmp_path / "model", "z")
    encoder = SignatureEncoder.from_pretrained(model, SMALL, device="cpu", batch_tokens=64)
    file = tmp_path / "a.jsonl"
    append(file, {"id": "a", "text": "She loved the park."}, {"id": "b", "text": "The dog was at the zoo, zzz."})
    append(file, {"id": "c", "text": "One day the dog found a key."})
    report = watch_once(store, encoder, file)
    assert (report.state, report.new, report.rejected) == ("COMPLETE", 2, 1)
    assert report.rejects[0].startswith(f"{file}:2")


def test_the_status_file(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    source, status = tmp_path / "a.jsonl", tmp_path / "watch.json"
    append(source, *story_rows(2), b"half")

    def read() -> WatchStatus:
        return WatchStatus.model_validate_json(status.read_bytes())

    with watching(store, encoder, tmp_path, status=status) as session:
        session.wait_for("row-1")
        session.wait(lambda: read().counts.new == 2, seconds=5)
        told = read()
        assert (told.state, told.blocks, told.queue_rows, told.files_watched) == ("watching", 1, 0, 1)
        assert told.files[0].model_dump() == {
            "name": str(source), "size": source.stat().st_size, "offset": source.stat().st_size - 4, "rows": 2,
            "error": None,
        }  # fmt: skip
        assert told.lag.now == 0
        assert told.lag.last is not None
        assert 0 < told.lag.last < 20
        before = told.updated_at
        session.wait(lambda: read().updated_at > before, seconds=5)
    assert read().state == "finished"
    assert session.report is not None
    assert read().run_id == session.report.run_id


def test_lag_is_by_arrival_whatever_the_clock_of_a_file_says(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    import os

    ahead, behind = tmp_path / "ahead.jsonl", tmp_path / "behind.jsonl"
    with watching(store, encoder, tmp_path, poll=0.2) as session:
        session.wait(lambda: store.backend.spaces())
        for number, (file, skew) in enumerate(((ahead, 86_400), (behind, -86_400))):
            append(file, *story_rows(1, start=number))
            os.utime(file, (time.time() + skew,) * 2)
            session.wait_for(f"row-{number}")
        (tmp_path / "c.txt").write_text("It opened a small box.")
        os.utime(tmp_path / "c.txt", (time.time() + 86_400,) * 2)
        session.wait_for("c.txt")
    lags = [status.lag.last for status in session.statuses]
    assert all(lag is not None and 0 <= lag < 15 for lag in lags), lags


def test_metrics(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    append(tmp_path / "a.jsonl", *story_rows(3), b"no JSON\n")
    with watching(store, encoder, tmp_path, metrics=("127.0.0.1", port)) as session:
        session.wait(lambda: session.handled == 4)

        def scraped() -> dict[str, float]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}

        found = scraped()
        assert found['rise_store_watch_examples_total{outcome="new"}'] == 3
        assert found['rise_store_watch_examples_total{outcome="rejected"}'] == 1
        assert found["rise_store_watch_rejects_total"] == 1
        assert found["rise_store_watch_tokens_total"] == session.statuses[-1].counts.tokens
        assert found["rise_store_watch_row_lag_seconds_count"] == 4
        assert found["rise_store_watch_store_seconds_count"] == 1
        assert (found["rise_store_watch_up"], found["rise_store_watch_files"]) == (1, 1)
        assert (found["rise_store_watch_queue_rows"], found["rise_store_watch_lag_seconds"]) == (0, 0)
        with pytest.raises(ConfigError, match=f"cannot be served on 127.0.0.1:{port}"):
            watch_once(store, encoder, tmp_path, metrics=("127.0.0.1", port))
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_file_that_cannot_be_read_is_told_once(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    bad = tmp_path / "a.parquet"
    bad.write_bytes(b"this is no Parquet file")
    with watching(store, encoder, tmp_path, poll=0.1) as session:
        append(tmp_path / "b.jsonl", *story_rows(1))
        session.wait_for("row-0")
        session.wait(lambda: session.troubles)
        append(tmp_path / "b.jsonl", *story_rows(1, start=1))
        session.wait_for("row-1")
        time.sleep(0.5)
    assert len(session.troubles) == 1
    assert str(bad) in session.troubles[0]
    assert session.report is not None
    assert session.report.state == "COMPLETE"


def test_blocks_are_small_and_wait_for_company(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(7))
    with watching(store, encoder, file, batch=3, max_delay=0.3) as session:
        session.wait_for("row-6")
    assert [status.counts.new for status in session.statuses] == [3, 6, 7]


def test_a_backlog_lets_other_files_have_their_turn(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    append(tmp_path / "a.jsonl", *story_rows(60))
    append(tmp_path / "b.jsonl", {"id": "other", "text": "She loved to play outside in the park."})
    seen: list[bool] = []
    store.watch(
        str(tmp_path),
        dataset="stories",
        model=encoder,
        once=True,
        batch=5,
        on_block=lambda _: seen.append("other" in store.dataset("stories")),
    )
    assert len(seen) > 10
    assert seen[1]  # the first block was filled by the backlog


@pytest.mark.parametrize("options", [{"max_delay": 0}, {"poll": -1.0}, {"batch": 0}, {"max_delay": float("nan")}])
def test_settings_out_of_range(store: OpenStore, encoder: SignatureEncoder, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        watch_once(store, encoder, "a.jsonl", **options)


def test_the_status_is_json_for_programs(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    status = tmp_path / "watch.json"
    append(tmp_path / "a.jsonl", *story_rows(1))
    report = watch_once(store, encoder, tmp_path, status=status)
    assert orjson.loads(status.read_bytes())["run_id"] == report.run_id
    with pytest.raises(InputError, match="cannot write"):
        watch_once(store, encoder, tmp_path, status=tmp_path / "nowhere" / "watch.json")
