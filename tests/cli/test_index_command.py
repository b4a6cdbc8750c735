"""`rise-store index`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows


@pytest.fixture
def stories(command: Command, store: Path, tiny_model: Path) -> Path:
    """A store of 3 stories, for a test to change."""
    file = write_rows(Path("stories.jsonl"), story_rows(3))
    done = command("ingest", file, "--store", store, "--model", tiny_model, "--dataset", "tales", *SMALL_OPTIONS)
    assert done.code == 0, done
    return store


def test_a_field_that_no_example_has_yet(command: Command, stories: Path) -> None:
    made = command("index", "topic", "--type", "keyword", "--store", stories)
    assert (made.code, made.err) == (0, "")
    assert made.out == "metadata.topic has an index of type keyword now\n"
    again = command("index", "metadata.topic", "--type", "keyword", "--store", stories)
    assert again.out == "metadata.topic has an index of type keyword already\n"
    listed = command("index", "--list", "--store", stories).out.splitlines()
    assert listed[0].split() == ["field", "type", "made", "by"]
    assert listed[-1].split() == ["metadata.topic", "keyword", "rise-store", "index"]
    as_json = command("index", "--list", "--store", stories, "--format", "json").json
    assert as_json[-1] == {"field": "metadata.topic", "kind": "keyword", "own": False}
    one = command("index", "page", "--type", "integer", "--store", stories, "--format", "json").json
    assert one == {"field": "metadata.page", "kind": "integer", "own": False, "new": True}


def test_own_fields_are_indexed_already(command: Command, library: Path) -> None:
    made = command("index", "license", "--type", "keyword", "--store", library)
    assert made.out == "license has an index of type keyword already: the store indexes its own fields by itself\n"
    listed = {one["field"]: one for one in command("index", "--list", "--store", library, "--format", "json").json}
    assert listed["tokens"] == {"field": "tokens", "kind": "integer", "own": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("license", "--type", "integer"), "license has an index of type keyword already"),
        (("text", "--type", "keyword"), "cannot index 'text'"),
        (("a..b", "--type", "keyword"), "is not a field"),
        (("\udcff", "--type", "keyword"), "'\\udcff' is not a field: it is not valid Unicode; write it in UTF-8"),
        (("topic",), "give a FIELD with --type, or --list alone"),
        (("--type", "keyword"), "give a FIELD with --type, or --list alone"),
        (("topic", "--list"), "give a FIELD with --type, or --list alone"),
        ((), "give a FIELD with --type, or --list alone"),
    ],
)
def test_errors(command: Command, library: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command("index", *arguments, "--store", library)
    assert message in done.error
    assert done.out == ""
