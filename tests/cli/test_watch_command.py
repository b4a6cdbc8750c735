"""`rise-store watch` in processes of its own: signals, kills, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from rise_store.records import WatchStatus
from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.cli.processes import CommandProcess, start_command, wait_until
from tests.ingest.examples import Row, open_points, story_rows, write_rows

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")

STATUS = Path("watch.json")


def append(path: Path, *rows: Row | bytes) -> None:
    with path.open("ab") as file:
        file.writelines(row if isinstance(row, bytes) else orjson.dumps(row) + b"\n" for row in rows)


def counted() -> int:
    """New examples by the status file."""
    with contextlib.suppress(FileNotFoundError):
        return WatchStatus.model_validate_json(STATUS.read_bytes()).counts.new
    return 0


Start = Callable[..., CommandProcess]


@pytest.fixture
def start(store: Path, tiny_model: Path) -> Start:
    def begin(*more: object) -> CommandProcess:
        STATUS.unlink(missing_ok=True)
        arguments = ("watch", "logs", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
        return start_command(*arguments, "--status", STATUS, "--max-delay", "0.1", *more)

    Path("logs").mkdir()
    return begin


def send(process: CommandProcess, number: int) -> None:
    assert process.process.pid is not None
    os.kill(process.process.pid, number)


def states(store: Path) -> list[tuple[str, str, str]]:
    with open_points(store) as opened:
        runs = [run for _, run in opened.backend.catalogue().scan("run")]
    return [(run["mode"], run["state"], run["message"]) for run in sorted(runs, key=lambda run: run["started_at"])]


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_ends_it_well(start: Start, store: Path, number: int) -> None:
    append(Path("logs/a.jsonl"), *story_rows(3))
    process = start("--format", "json")
    wait_until(lambda: counted() == 3, 60)
    append(Path("logs/a.jsonl"), *story_rows(1, start=3))
    send(process, number)
    ended = process.end()
    assert (ended.code, ended.err) == (0, "")
    report = ended.json
    assert (report["state"], report["rejected"]) == ("COMPLETE", 0)
    assert report["new"] == report["stored"] in (3, 4)  # the last line came before the signal was seen, or not
    assert WatchStatus.model_validate_json(STATUS.read_bytes()).state == "finished"
    again = start("--once", "--format", "json").end().json
    assert (again["new"], again["unchanged"], again["stored"]) == (4 - report["new"], 0, 4)
    assert [state for _, state, _ in states(store)] == ["COMPLETE", "COMPLETE"]


@pytest.mark.parametrize("kills", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_killed_again_and_again_no_line_is_lost(start: Start, store: Path, kills: int) -> None:
    rows = story_rows(60)
    log = Path("logs/a.jsonl")
    for kill in range(kills):
        process = start("--batch", "4")
        append(log, *rows[kill * 12 : kill * 12 + 6])
        wait_until(lambda: counted() > 0, 60)
        append(log, *rows[kill * 12 + 6 : kill * 12 + 12], b'{"id": "row-59", "te')  # half a line
        time.sleep(0.1 * kill / (kills - 1))
        send(process, signal.SIGKILL)
        process.process.join()
        with log.open("r+b") as file:  # its writer goes on with the line
            file.truncate(file.seek(0, os.SEEK_END) - len(b'{"id": "row-59", "te'))
    append(log, *rows[kills * 12 :])
    report = start("--once", "--format", "json").end().json
    assert (report["state"], report["stored"], report["rejected"]) == ("COMPLETE", 60, 0)
    assert report["unchanged"] <= 8  # no more than a block was done twice
    with open_points(store) as opened:
        assert {id for _, id in opened.points} == {row["id"] for row in rows}
    found = states(store)
    assert [state for _, state, _ in found] == ["STOPPED"] * kills + ["COMPLETE"]
    assert "its process ended without a word" in found[0][2]


def test_once_in_this_process(command: Command, store: Path, tiny_model: Path) -> None:
    write_rows(Path("a.jsonl"), [*story_rows(2), b"no JSON"])
    watch = ("watch", "*.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS, "--once")
    first = command(*watch)
    assert first.code == 0, first
    assert "2" in first.out
    (rejects,) = Path().glob("rejects-*.jsonl")
    assert orjson.loads(rejects.read_bytes())["location"].endswith("a.jsonl:3")
    assert command(*watch, "--format", "json").json["new"] == 0
    assert command(*watch, "--max-delay", "0").error.startswith("max_delay is 0")
    assert "no folder" in command("watch", "nowhere/a/b", *watch[2:]).error


def test_standard_input(command: Command, store: Path, tiny_model: Path) -> None:
    lines = b"".join(orjson.dumps(row) + b"\n" for row in story_rows(3))
    watch = ("watch", "-", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    report = command(*watch, "--format", "json", stdin=lines).json
    assert (report["state"], report["new"]) == ("COMPLETE", 3)
