from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from rise_store.cli import main
from tests.ingest.examples import quick_folder, story_rows, write_rows


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that take minutes run where they were asked for."""
    for item in items:
        if item.get_closest_marker("slow") and "slow" not in config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with `pytest -m slow`"))


SMALL_OPTIONS = ("--estimator", "kr=16", "--estimator", "kh=8", "--estimator", "kg=28")


@dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that an error of ours is; anything else fails the test."""
        assert self.code == 2, self
        assert self.err.startswith("error: "), self
        assert self.err.count("\n") == 1, self
        return self.err.removeprefix("error: ").rstrip("\n")


Command = Callable[..., Result]


def run_command(*arguments: object, stdin: bytes = b"", encoding: str = "utf-8") -> Result:
    """Run `rise-store` with arguments in this process, through `main`, as the installed command does."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["rise-store", *map(str, arguments)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]
    return Result(code, out, err)


@pytest.fixture(scope="session")
def command() -> Command:
    """`command("query", "--store", folder, ...)` runs `rise-store query --store ...` in this process."""
    return run_command


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run in a folder of the test's own, so that files can be named without one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RISE_STORE", raising=False)
    return tmp_path


@pytest.fixture
def store() -> Iterator[Path]:
    """A folder for a store, not there yet."""
    with quick_folder() as folder:
        yield folder / "store"


@pytest.fixture(scope="session")
def library(tiny_model: Path) -> Iterator[Path]:
    """A store of 12 stories in two datasets; tests only read it."""
    with quick_folder() as folder:
        rows = [
            row | {"license": ("MIT", "CC0-1.0")[number % 2], "metadata": {"page": number, "draft": number == 3}}
            for number, row in enumerate(story_rows(12))
        ]
        for dataset, part in (("tales", rows[:8]), ("notes", rows[8:])):
            file = write_rows(folder / f"{dataset}.jsonl", part)
            done = run_command(
                "ingest", file, "--store", folder / "store", "--model", tiny_model, "--dataset", dataset, *SMALL_OPTIONS
            )
            assert done.code == 0, done
        yield folder / "store"
