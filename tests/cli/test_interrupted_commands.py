"""Ctrl-C in `rise-store`: one line that says how to go on, exit code 2, and the same command completes the work."""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest

from rise_store import AttributionStore
from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.cli.processes import start_command, wait_until
from tests.ingest.examples import story_rows, write_rows

ROWS = 2400  # three blocks


@pytest.fixture
def ingest(store: Path, tiny_model: Path) -> tuple[object, ...]:
    write_rows(Path("stories.jsonl"), story_rows(ROWS))
    return ("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)


def writes(store: Path) -> bool:
    """Whether a process has stored its first rows: the number of rows is unknown from then on."""
    return any(b"null" in state.read_bytes() for state in store.glob("spaces/[0-9a-f]*/state.json"))


def examples(store: Path) -> int:
    if not (store / "store.json").is_file():
        return 0
    with AttributionStore.open(store) as opened:
        return sum(held.examples for held in opened.info().spaces)


def test_the_block_is_finished_and_the_same_command_completes_the_rest(
    command: Command, store: Path, ingest: tuple[object, ...]
) -> None:
    running = start_command(*ingest)
    wait_until(lambda: writes(store))
    running.interrupt()
    error = running.end().error
    stored = examples(store)
    assert re.match(rf"stopped by Ctrl-C; {stored} examples \w+ stored: run the same command ", error)
    assert 0 < stored < ROWS
    report = command(*ingest, "--format", "json").json
    assert (report["new"], report["resumed_rows"], report["stored"]) == (ROWS, stored, ROWS)


@pytest.mark.parametrize("attempt", [0, *(pytest.param(more, marks=pytest.mark.slow) for more in range(1, 6))])
def test_at_any_moment_it_ends_with_one_line_and_a_store_that_goes_on(
    store: Path, ingest: tuple[object, ...], attempt: int
) -> None:
    seed = time.time_ns()
    print(f"random.Random({seed})")
    running = start_command(*ingest)
    wait_until(running.started.exists)
    time.sleep(random.Random(seed).uniform(0, 1.5))
    running.interrupt()
    done = running.end()
    if done.code != 0:  # it may have been through already
        assert re.match(r"stopped by Ctrl-C; .*: run the same command ", done.error)
    else:
        assert done.err == ""
    assert 0 <= examples(store) <= ROWS


class TestWhileTheModelLoads:
    @pytest.fixture(autouse=True)
    def pressed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("rise_store.signature.SignatureEncoder.from_pretrained", interrupted)

    def test_an_ingestion_can_be_run_again(self, command: Command, ingest: tuple[object, ...]) -> None:
        assert command(*ingest).error.startswith("stopped by Ctrl-C; ")

    def test_a_question_does_not_speak_of_blocks(self, command: Command, library: Path) -> None:
        done = command("query", "--store", library, "--text", "A key.")
        assert done.code == 2
        assert "stopped by Ctrl-C" in done.err
        assert "blocks" not in done.err


def test_one_press_ends_a_command_that_waits_for_standard_input(store: Path, tiny_model: Path) -> None:
    os.mkfifo("pipe")
    running = start_command(
        *("ingest", "-", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS),
        stdin=Path("pipe").resolve(),
    )
    with Path("pipe").open("wb") as pipe:  # a terminal at which nobody types
        pipe.write(b'{"text": "Lily found a key."}\n')
        pipe.flush()
        wait_until(lambda: bool(list(store.glob("spaces/[0-9a-f]*"))))
        time.sleep(0.2)
        running.interrupt()
        assert "stopped by Ctrl-C" in running.end(seconds=4).error
