"""Progress: bars with rate and ETA on a terminal, silence elsewhere."""

from __future__ import annotations

import os
import re
import select
import time
from pathlib import Path

import pytest

from rise_store.cli.progress import rate
from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.cli.processes import start_command
from tests.ingest.examples import story_rows, write_rows

pty = pytest.importorskip("pty")


def test_nothing_but_results_is_printed_where_there_is_no_terminal(
    command: Command, store: Path, tiny_model: Path
) -> None:
    write_rows(Path("stories.jsonl"), story_rows(6))
    for arguments in (
        ("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS),
        ("query", "--store", store, "--text", "A key.", "-k", "1"),
        ("info", "--store", store),
        ("signatures", "stories.jsonl", "--model", tiny_model, "--out", "s.npz", *SMALL_OPTIONS),
    ):
        done = command(*arguments)
        assert (done.code, done.err) == (0, "")
        assert "\x1b" not in done.out
        assert "\r" not in done.out


def test_no_rate_right_after_the_start() -> None:
    now = time.monotonic()
    assert rate(12, now) == ""
    assert rate(12, now - 2) == ", 6/s"
    assert rate(2_000_000, now - 1_000, " tokens") == ", 2,000 tokens/s"


def on_a_terminal(*arguments: object) -> str:
    """What a command shows on a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    running = start_command(*arguments, err=Path(os.ttyname(theirs)))
    shown = b""
    while running.process.is_alive():
        if select.select([ours], [], [], 0.05)[0]:
            shown += os.read(ours, 1 << 16)
    os.close(theirs)
    running.err = Path("nothing")
    assert running.end().code == 0
    return shown.decode()


def test_on_a_terminal_ingestion_shows_a_bar_with_rate_and_eta(store: Path, tiny_model: Path) -> None:
    write_rows(Path("stories.jsonl"), story_rows(400))
    text = on_a_terminal(
        *("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    )
    assert "loading the model" in text
    assert re.search(r"ingesting .*\d+%.*[\d,]+ stored, [\d,]+ known.*eta", text)
    assert max(int(share) for share in re.findall(r"(\d+)%", text)) == 100


@pytest.mark.parametrize("name", ["signatures", "recall"])
def test_on_a_terminal_other_long_commands_count_what_is_done(name: str, library: Path, tiny_model: Path) -> None:
    write_rows(Path("stories.jsonl"), story_rows(40))
    arguments = {
        "signatures": ("stories.jsonl", "--model", tiny_model, "--out", "s.npz", *SMALL_OPTIONS),
        "recall": ("--store", library, "--sample", "12"),
    }
    text = on_a_terminal(name, *arguments[name])
    assert re.search(r"[\d,]+ of [\d,]+ (tokens|searches)", text)
