"""`rise-store info`, `signatures`, and what the command itself can do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from rise_store import __version__
from rise_store.cli import cli
from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import SMALL, story_rows, write_rows

README = Path(__file__).parents[2] / "README.md"
SCRIPT = shutil.which("rise-store", path=str(Path(sys.executable).parent)) or "rise-store"


def commands() -> list[str]:
    return sorted(cli.commands)


class TestInfo:
    def test_as_a_table(self, command: Command, library: Path, tiny_model: Path) -> None:
        done = command("info", "--store", library)
        assert (done.code, done.err) == (0, "")
        rows = dict(re.findall(r"^(\w+) {2,}(.+?) *$", done.out, re.MULTILINE))
        assert done.out.splitlines()[0] == str(library)
        assert re.fullmatch("[0-9a-f]{32}", rows["space"])
        assert rows["model"] == f"{tiny_model} (LlamaForCausalLM, float32)"
        assert rows["signature"] == "352 coordinates: RH 16 x 8, GH 28 x 8"
        assert rows["head"] == "512 x 32"
        assert rows["examples"] == "12"
        assert rows["datasets"] == "tales 8, notes 4"
        assert rows["licences"] == "CC0-1.0 6, MIT 6"
        assert re.fullmatch(r"\d+\.\d MiB, \d+\.\d KiB each", rows["size"])
        assert "kr 16, kh 8, kg 28" in rows["estimator"]

    def test_as_json(self, command: Command, library: Path) -> None:
        held = command("info", "--store", library, "--format", "json").json
        (space,) = held["spaces"]
        assert held["location"] == str(library)
        assert (space["examples"], space["datasets"]) == (12, {"tales": 8, "notes": 4})
        assert space["space"]["estimator"] == SMALL.model_dump()


class TestSignatures:
    def test_arrays_of_ids_and_signatures(self, command: Command, tiny_model: Path) -> None:
        write_rows(Path("stories.jsonl"), story_rows(5))
        done = command("signatures", "stories.jsonl", "--model", tiny_model, "--out", "s.npz", *SMALL_OPTIONS)
        assert (done.code, done.err) == (0, "")
        assert done.out == "5 signatures of 352 coordinates in s.npz\n"
        with np.load("s.npz", allow_pickle=False) as arrays:
            assert arrays["ids"].tolist() == [f"row-{number}" for number in range(5)]
            assert (arrays["signatures"].dtype, arrays["signatures"].shape) == (np.float32, (5, 352))

    def test_of_the_published_width_by_default(self, command: Command, tiny_model: Path) -> None:
        write_rows(Path("stories.jsonl"), story_rows(1))
        command("signatures", "stories.jsonl", "--model", tiny_model, "--out", "s.npz")
        with np.load("s.npz", allow_pickle=False) as arrays:
            assert arrays["signatures"].shape == (1, 24_576)

    @pytest.mark.parametrize(
        ("rows", "out", "message"),
        [
            ([b"{"], "s.npz", "rows.jsonl:1: malformed JSON"),
            ([{"id": "x"}], "s.npz", "rows.jsonl:1: the row has no text"),
            ([], "no/s.npz", "cannot write no/s.npz: there is no folder"),
        ],
    )
    def test_errors(self, command: Command, tiny_model: Path, rows: list[bytes], out: str, message: str) -> None:
        write_rows(Path("rows.jsonl"), rows)
        done = command("signatures", "rows.jsonl", "--model", tiny_model, "--out", out, *SMALL_OPTIONS)
        assert done.error.startswith(message)
        assert not Path(out).exists()


def parameters(name: str) -> list[click.Parameter]:
    """Those of a command, and of its subcommands."""
    command = cli.commands[name]
    return command.params + [parameter for sub in getattr(command, "commands", {}).values() for parameter in sub.params]


class TestHelp:
    def test_version(self, command: Command) -> None:
        assert command("--version").out == f"rise-store, version {__version__}\n"

    def test_the_installed_command(self) -> None:
        run = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, timeout=60, check=True)
        assert (run.stdout, run.stderr) == (f"rise-store, version {__version__}\n", "")

    @pytest.mark.parametrize("flag", ["--help", "-h"])
    def test_lists_every_command_in_a_sentence(self, command: Command, flag: str) -> None:
        listing = command(flag).out.partition("Commands:")[2]
        for name in commands():
            assert re.search(rf"^  {name} +\w+", listing, re.MULTILINE)

    @pytest.mark.parametrize("name", commands())
    def test_every_command_has_an_example_that_names_its_options(self, command: Command, name: str) -> None:
        text = command(name, "--help").out
        _, heading, examples = re.split(r"(Examples?:)\n", text, maxsplit=1)
        assert heading
        assert f"rise-store {name}" in examples
        known = {option for parameter in parameters(name) for option in parameter.opts}
        own = re.findall(rf"rise-store {name} .*", examples.partition("Options:")[0])
        used = re.findall(r" (--?[a-z-]+)", " ".join(own))
        assert set(used) <= known

    @pytest.mark.parametrize("name", commands())
    def test_every_option_is_explained(self, name: str) -> None:
        options = [parameter for parameter in parameters(name) if isinstance(parameter, click.Option)]
        unexplained = [option.opts for option in options if not option.help and option.name != "format_"]
        assert unexplained == []

    def test_the_environment_variable_of_the_store_is_named(self, command: Command) -> None:
        for name in ("ingest", "query", "info"):
            assert "RISE_STORE" in command(name, "--help").out

    @pytest.mark.parametrize("name", commands())
    def test_the_readme_mentions_every_command(self, name: str) -> None:
        assert f"rise-store {name}" in README.read_text(encoding="utf-8")

    def test_commands_in_the_readme_exist(self) -> None:
        used = re.findall(r"^\s*(?:\$ )?rise-store ([a-z][a-z-]*)", README.read_text(encoding="utf-8"), re.MULTILINE)
        assert used
        assert set(used) <= set(commands())
