"""Output that cannot be written: a reader that has gone, a disk that is full."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.cli.processes import start_command
from tests.ingest.examples import story_rows, write_rows

SCRIPT = shutil.which("rise-store", path=str(Path(sys.executable).parent)) or "rise-store"
FULL = Path("/dev/full")


@pytest.mark.parametrize("format_", ["table", "json"])
def test_a_reader_that_has_gone_is_no_error(library: Path, format_: str) -> None:
    # as in `rise-store info --store DIR | head -1`
    with subprocess.Popen(
        [SCRIPT, "info", "--store", str(library), "--format", format_], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 0


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("format_", ["table", "json"])
def test_results_on_a_full_disk_are_an_error_of_one_line(library: Path, format_: str) -> None:
    with FULL.open("wb") as full:
        run = subprocess.run(
            [SCRIPT, "info", "--store", str(library), "--format", format_],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert "No space left on device" in run.stderr
    assert run.returncode == 2


def test_signatures_on_a_full_disk_leave_nothing_behind(command: Command, tiny_model: Path) -> None:
    pytest.importorskip("resource")
    write_rows(Path("stories.jsonl"), story_rows(40))
    signatures = ("signatures", "stories.jsonl", "--model", tiny_model, "--out", "s.npz", *SMALL_OPTIONS)
    error = start_command(*signatures, most_bytes=16_384).end().error
    assert "s.npz" in error
    assert not list(Path.cwd().glob("*s.npz*"))
    assert command(*signatures).code == 0


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_a_stream_that_is_not_utf8_gets_what_it_can_hold(command: Command, library: Path, format_: str) -> None:
    # as on Windows, where a file that output is redirected to has the code page of the machine
    query = ("query", "--store", library, "--prompt", "Où?", "--completion", " 日本 → Paris…", "-k", "1")
    done = command(*query, "--format", format_, encoding="cp1252")
    assert (done.code, done.err) == (0, "")
