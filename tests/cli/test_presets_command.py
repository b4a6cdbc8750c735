"""`rise-store presets`, and queries that name a preset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from rise_store.store import open_store
from tests.cli.conftest import Command
from tests.ingest.examples import story_rows

TEXT = story_rows(12)[3]["text"]
CLOSE = ("--metric", "cosine", "--weights", "rh=1,gh=0.5", "--precondition", "0.01")


@pytest.fixture
def close(command: Command, library: Path) -> Iterator[Path]:
    """The library with a preset of the name close."""
    done = command("presets", "--store", library, "--save", "close", *CLOSE, "--note", "by hand")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("saved close: --metric cosine --weights rh=1,gh=0.5 --precondition 0.01, of space ")
    yield library
    command("presets", "--store", library, "--delete", "close")


def test_without_presets_the_table_says_how_to_save_one(command: Command, library: Path) -> None:
    assert command("presets", "--store", library).out == "no presets; rise-store presets --save NAME keeps one\n"
    assert command("presets", "--store", library, "--format", "json").json == []


def test_presets_are_listed(command: Command, close: Path) -> None:
    lines = command("presets", "--store", close).out.splitlines()
    assert lines[0].split() == ["preset", "settings", "space", "saved", "note"]
    assert lines[1].startswith("close   --metric cosine --weights rh=1,gh=0.5 --precondition 0.01")
    assert lines[1].endswith("by hand")
    (listed,) = command("presets", "--store", close, "--format", "json").json
    assert (listed["name"], listed["metric"], listed["weights"]) == ("close", "cosine", {"rh": 1.0, "gh": 0.5})
    assert (listed["precondition"], listed["lambdas"], listed["note"]) == (0.01, None, "by hand")
    assert orjson.loads(command("presets", "--store", close, "--format", "jsonl").out) == listed
    assert command("presets", "--store", close, "--space", "zz", "--format", "json").json == []


def test_a_preset_is_replaced_and_deleted(command: Command, close: Path) -> None:
    presets = ("presets", "--store", close, "--format", "json")
    saved = command(*presets, "--save", "close", "--metric", "paper", "--lambdas", "gh=2").json
    assert saved["lambdas"] == {"rh": 1.0, "gh": 2.0}
    assert command(*presets).json == [saved]
    done = command("presets", "--store", close, "--delete", "close")
    assert done.out.startswith("deleted close: --metric paper --lambdas rh=1,gh=2, of space ")
    assert command(*presets).json == []
    assert command(*presets, "--delete", "close").error == "the store has no preset 'close'; its presets: none"


def test_queries_name_a_preset_and_options_win_over_it(command: Command, close: Path) -> None:
    query = ("query", "--store", close, "--text", TEXT, "-k", "3")
    named = command(*query, "--preset", "close", "--format", "json").json
    stated = command(*query, *CLOSE, "--format", "json").json
    assert named["preset"] == "close"
    assert {**named, "preset": None} == stated
    partly = command(*query, "--preset", "close", "--weights", "rh=0,gh=1", "--format", "json").json
    assert (partly["metric"], partly["weights"]) == ("cosine", {"rh": 0.0, "gh": 1.0})
    plain = command(*query, "--preset", "close", "--precondition", "0", "--format", "json").json
    assert (plain["metric"], plain["precondition"], plain["preset"]) == ("cosine", None, "close")
    table = command(*query, "--preset", "close").out
    assert "3 of 12 examples, metric cosine, preconditioned, alpha 0.01, preset close;" in table
    groups = command("query", "--store", close, "--text", TEXT, "--group-by", "dataset", "--preset", "close")
    assert "preset close;" in groups.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--save", "a", "--delete", "b"), "give --save or --delete, not both. See rise-store presets --help"),
        (("--metric", "cosine"), "settings and --note go with --save NAME. See rise-store presets --help"),
        (("--save", "two words"), "preset name: String should match pattern"),
        (("--save", "a", "--lambdas", "rh=1"), "lambdas belong to the metric paper, not to dot"),
        (("--save", "a", "--precondition", "-1"), "precondition is -1.0; give a number above 0, such as 0.01"),
        (("--save", "a", "--space", "zz"), "the store has no space zz"),
    ],
)
def test_what_is_wrong_is_one_line(command: Command, library: Path, options: tuple[str, ...], message: str) -> None:
    assert message in command("presets", "--store", library, *options).error


def test_an_unknown_preset_names_those_that_there_are(command: Command, close: Path) -> None:
    error = command("query", "--store", close, "--text", TEXT, "--preset", "clsoe").error
    assert error == "the store has no preset 'clsoe'; its presets: close"


def test_one_of_a_newer_version_is_left_out_with_a_warning_and_can_be_deleted(command: Command, close: Path) -> None:
    for format_ in ("table", "jsonl"):
        with open_store(close) as backend:
            backend.catalogue().put("preset", {"newer": {"name": "newer", "space": "x", "curvature": 1}})
        listed = command("presets", "--store", close, "--format", "json")
        assert [preset["name"] for preset in listed.json] == ["close"]
        assert listed.err.startswith("warning: preset 'newer' cannot be read")
        deleted = command("presets", "--store", close, "--delete", "newer", "--format", format_).out
        assert deleted == {"table": "deleted newer, which could not be read\n", "jsonl": '{"name":"newer"}\n'}[format_]
    assert command("presets", "--store", close).err == ""
