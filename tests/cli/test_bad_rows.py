"""Files with something wrong in them: one line with file and line number, exit code 2, a store that can go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rise_store.corpus import MAX_LINE_BYTES
from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import open_points, story_rows, write_rows
from tests.ingest.models import with_nan_at, with_short_head, without_special_tokens

LONG_LINE = b'{"id": "long", "text": "' + b"x" * 100_000_000 + b'"}'

BAD_ROWS = {
    "malformed JSON": (b'{"id": "bad", "text": "cut off', r"stories.jsonl:3: malformed JSON at column"),
    "not an object": (b'["text"]', "stories.jsonl:3: expected an object"),
    "no text": (b'{"id": "bad"}', "stories.jsonl:3: the row has no text"),
    "empty text": (b'{"id": "bad", "text": " "}', "stories.jsonl:3: the row has no text"),
    "text of another type": (b'{"id": "bad", "text": 7}', 'stories.jsonl:3: "text" is an integer'),
    "NaN": (b'{"id": "bad", "text": "fine", "metadata": {"x": NaN}}', "stories.jsonl:3: malformed JSON"),
    "invalid UTF-8": (b'{"id": "bad", "text": "caf\xe9"}', "stories.jsonl:3: invalid UTF-8 at byte offset 26"),
    "long line": (LONG_LINE, f"stories.jsonl:3: the line is longer than {MAX_LINE_BYTES:,} bytes"),
    "binary": (bytes(range(1, 9)) * 30, "stories.jsonl:3: malformed JSON"),
    "chat": (b'{"messages": [{"role": "user", "content": "Hi"}]}', "stories.jsonl:3: model "),
}


def stored_ids(store: Path) -> set[str]:
    with open_points(store) as opened:
        return {key for _, key in opened.points}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_stops_with_its_place_and_the_mended_file_goes_on(
    command: Command, store: Path, tiny_model: Path, name: str
) -> None:
    bad, message = BAD_ROWS[name]
    rows = story_rows(4)
    file = write_rows(Path("stories.jsonl"), [*rows[:2], bad, rows[3]])
    ingest = (
        "ingest",
        "stories.jsonl",
        "--store",
        store,
        "--model",
        tiny_model,
        "--dataset",
        "stories",
        *SMALL_OPTIONS,
    )
    error = command(*ingest).error
    assert error.startswith(message)
    assert "stored: mend the row and run the same command again" in error
    assert stored_ids(store) == {"row-0", "row-1"}

    write_rows(file, rows)
    report = command(*ingest, "--format", "json").json
    assert (report["new"], report["unchanged"], report["stored"]) == (2, 2, 4)


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_can_be_let_pass(command: Command, store: Path, tiny_model: Path, name: str) -> None:
    bad, message = BAD_ROWS[name]
    write_rows(Path("stories.jsonl"), [*story_rows(2), bad, *story_rows(2, start=2)])
    done = command(
        *("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "stories", *SMALL_OPTIONS),
        *("--max-rejects", "1"),
    )
    assert done.code == 0
    assert done.out.startswith("stories: 4 new, 0 replaced, 0 updated, 0 unchanged; not stored: 1 rejected\n")
    assert done.err.startswith(f"not stored: {message}")
    first, second = done.err.splitlines()
    (file,) = Path().glob("rejects-*.jsonl")
    assert second == f"all rows that were not stored: {file}"
    assert json.loads(file.read_text())["reason"] == first.removeprefix("not stored: ")


def test_a_duplicate_key_with_other_content_names_both_lines(command: Command, store: Path, tiny_model: Path) -> None:
    rows = [*story_rows(2), {"id": "row-0", "text": "Another beginning."}, *story_rows(1, start=2)]
    write_rows(Path("stories.jsonl"), rows)
    ingest = (
        "ingest",
        "stories.jsonl",
        "--store",
        store,
        "--model",
        tiny_model,
        "--dataset",
        "stories",
        *SMALL_OPTIONS,
    )
    error = command(*ingest).error
    assert error.startswith("stories.jsonl:3: \"id\" 'row-0' stands for another row at stories.jsonl:1")
    assert stored_ids(store) == {"row-0", "row-1"}
    write_rows(Path("stories.jsonl"), [*rows[:2], rows[3]])
    assert command(*ingest, "--format", "json").json["stored"] == 3


def test_too_short_texts_are_reported_and_no_error(command: Command, store: Path, tiny_model: Path) -> None:
    model = without_special_tokens(tiny_model, Path("bare").resolve())
    write_rows(Path("stories.jsonl"), [{"id": "short", "text": "x"}, *story_rows(2)])
    done = command(
        "ingest", "stories.jsonl", "--store", store, "--model", model, "--dataset", "stories", *SMALL_OPTIONS
    )
    assert done.code == 0
    assert "2 new, 0 replaced, 0 updated, 0 unchanged; not stored: 1 too short (under 2 tokens)" in done.out
    assert done.err.startswith("not stored: stories.jsonl:1: fewer than 2 tokens\n")


def test_a_token_id_beyond_the_head(command: Command, store: Path, tiny_model: Path) -> None:
    model = with_short_head(tiny_model, Path("short").resolve())
    write_rows(Path("stories.jsonl"), [{"id": "fine", "text": "qqq"}, {"id": "beyond", "text": "Once upon a time"}])
    ingest = ("ingest", "stories.jsonl", "--store", store, "--model", model, "--dataset", "stories", *SMALL_OPTIONS)
    error = command(*ingest).error
    assert error.startswith("stories.jsonl:2: token id ")
    assert "beyond the LM head, which has rows 0 to 299" in error
    assert stored_ids(store) == {"fine"}
    assert command("query", "--store", store, "--text", "Once upon a time", "-k", "1").error.startswith(
        "the query: token id "
    )


class TestNanInASignature:
    """A model with NaN in the embedding of the byte z: the examples with a z come out as NaN."""

    ROWS = ({"id": "a", "text": "Once upon a time"}, {"id": "z", "text": "a zebra"}, {"id": "c", "text": "the end"})

    @pytest.fixture
    def ingest(self, store: Path, tiny_model: Path) -> tuple[object, ...]:
        model = with_nan_at(tiny_model, Path("nan").resolve(), "z")
        write_rows(Path("stories.jsonl"), self.ROWS)
        return ("ingest", "stories.jsonl", "--store", store, "--model", model, "--dataset", "stories", *SMALL_OPTIONS)

    def test_is_an_error_and_nothing_of_it_is_stored(
        self, command: Command, store: Path, ingest: tuple[object, ...]
    ) -> None:
        assert "NaN" in command(*ingest).error
        assert "z" not in stored_ids(store)

    def test_names_the_row(self, command: Command, ingest: tuple[object, ...]) -> None:
        assert "stories.jsonl:2" in command(*ingest).error

    def test_does_not_advise_what_is_the_case_already(self, command: Command, ingest: tuple[object, ...]) -> None:
        assert "use float32" not in command(*ingest).error

    def test_leaves_the_store_resumable(self, command: Command, store: Path, ingest: tuple[object, ...]) -> None:
        command(*ingest)
        write_rows(Path("stories.jsonl"), [self.ROWS[0], self.ROWS[2]])
        assert command(*ingest, "--format", "json").json["stored"] == 2
        assert "NaN" in command("query", "--store", store, "--text", "a zebra", "-k", "1").error


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("missing.jsonl", "missing.jsonl: no such file; check the path"),
        ("folder", "folder: holds no file of a known format"),
        ("cut.jsonl.gz", "cut.jsonl.gz: the compressed data"),
        ("plain.jsonl.gz", "plain.jsonl.gz: the compressed data is damaged"),
        ("plain.jsonl.zst", "plain.jsonl.zst: the compressed data is damaged"),
    ],
)
def test_files_that_cannot_be_read(command: Command, store: Path, tiny_model: Path, file: str, message: str) -> None:
    import gzip

    Path("folder").mkdir()
    plain = write_rows(Path("plain.jsonl"), story_rows(3))
    for copy in ("plain.jsonl.gz", "plain.jsonl.zst"):
        Path(copy).write_bytes(plain.read_bytes())
    Path("cut.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes())[:-20])
    done = command("ingest", file, "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    assert done.error.startswith(message)
