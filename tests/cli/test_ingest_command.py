"""`rise-store ingest`."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import zstandard

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import open_points, story_rows, write_rows


@pytest.fixture
def corpus(working_directory: Path) -> Path:
    return write_rows(working_directory / "stories.jsonl", story_rows(8))


def test_a_corpus_is_stored_and_summed_up(command: Command, store: Path, corpus: Path, tiny_model: Path) -> None:
    done = command("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "stories")
    assert (done.code, done.err) == (0, "")
    summary = done.out.splitlines()
    assert summary[0] == "stories: 8 new, 0 replaced, 0 updated, 0 unchanged"
    assert re.fullmatch(r"[\d,]+ tokens in \d+\.\d s, [\d,]+ tokens/s", summary[1])
    assert re.fullmatch(r"8 examples in space [0-9a-f]{32}", summary[2])


def test_the_same_command_again_has_nothing_to_do(
    command: Command, store: Path, corpus: Path, tiny_model: Path
) -> None:
    ingest = ("ingest", corpus, "--store", store, "--model", tiny_model, "--dataset", "stories", *SMALL_OPTIONS)
    first = command(*ingest, "--format", "json").json
    again = command(*ingest, "--format", "json").json
    assert (first["new"], first["unchanged"]) == (8, 0)
    assert (again["new"], again["unchanged"], again["tokens"], again["stored"]) == (0, 8, 0, 8)
    assert command(*ingest).out.startswith("stories: 0 new, 0 replaced, 0 updated, 8 unchanged\n8 examples in space")


@pytest.mark.parametrize("kind", ["plain", "gz", "zst", "stdin"])
def test_files_may_be_compressed_or_standard_input(
    command: Command, store: Path, corpus: Path, tiny_model: Path, kind: str
) -> None:
    data = corpus.read_bytes()
    Path("stories.jsonl.gz").write_bytes(gzip.compress(data))
    Path("stories.jsonl.zst").write_bytes(zstandard.compress(data))
    file = {"plain": "stories.jsonl", "gz": "stories.jsonl.gz", "zst": "stories.jsonl.zst", "stdin": "-"}[kind]
    done = command(
        *("ingest", file, "--store", store, "--model", tiny_model, "--dataset", "stories", *SMALL_OPTIONS),
        stdin=data if kind == "stdin" else b"",
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("stories: 8 new")


def test_several_files_and_rows_of_every_kind(command: Command, store: Path, tiny_model: Path) -> None:
    write_rows(Path("a.jsonl"), [{"text": "Lily found a key."}, {"prompt": "Who?", "completion": " Lily."}])
    write_rows(
        Path("b.jsonl"), [{"prompt": "Who?", "generation": " The dog."}, {"instruction": "Go", "output": "Gone"}]
    )
    done = command(
        "ingest", "a.jsonl", "b.jsonl", "--store", store, "--model", tiny_model, "--dataset", "mix", *SMALL_OPTIONS
    )
    assert done.out.startswith("mix: 4 new")
    with open_points(store) as opened:
        texts = {point.payload["text"] for point in opened.points.values()}
    assert texts == {"Lily found a key.", "Who? Lily.", "Who? The dog.", "Go\nGone"}


def test_provenance_is_stored_with_every_row(command: Command, store: Path, corpus: Path, tiny_model: Path) -> None:
    command(
        *("ingest", corpus, "--store", store, "--model", tiny_model, "--dataset", "stories", *SMALL_OPTIONS),
        *("--license", "CC-BY-4.0", "--source-uri", "https://stories.example", "--dataset-version", "2024-05"),
        *("--keep-text", "preview"),
    )
    with open_points(store) as opened:
        payload = opened.points["stories", "row-3"].payload
    assert (payload["license"], payload["source_uri"]) == ("CC-BY-4.0", "https://stories.example")
    assert payload["dataset_version"] == "2024-05"


def test_model_and_settings_are_needed_only_once(command: Command, store: Path, corpus: Path, tiny_model: Path) -> None:
    command("ingest", corpus, "--store", store, "--model", tiny_model, "--dataset", "stories", *SMALL_OPTIONS)
    done = command("ingest", corpus, "--store", store, "--dataset", "again", "--format", "json")
    assert (done.json["new"], done.json["stored"]) == (8, 16)


def test_rows_that_were_left_out_are_counted_and_named(command: Command, store: Path, tiny_model: Path) -> None:
    rows = [*story_rows(2), b"{", {"id": "row-9"}, *story_rows(2)]
    write_rows(Path("stories.jsonl"), rows)
    done = command(
        *("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "stories", *SMALL_OPTIONS),
        *("--max-rejects", "-1"),
    )
    assert done.code == 0
    assert done.out.splitlines()[0] == (
        "stories: 2 new, 0 replaced, 0 updated, 0 unchanged; not stored: 2 rejected, 2 repeated in their file"
    )
    assert [line.split(":")[:3] for line in done.err.splitlines()[:-1]] == [
        ["not stored", " stories.jsonl", "3"],
        ["not stored", " stories.jsonl", "4"],
    ]


def test_the_store_can_be_named_by_the_environment(
    command: Command, store: Path, corpus: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISE_STORE", str(store))
    assert command("ingest", corpus, "--model", tiny_model, "--dataset", "stories", *SMALL_OPTIONS).code == 0
    assert command("query", "--text", story_rows(1)[0]["text"], "-k", "1", "--format", "json").code == 0
    assert command("info", "--format", "json").json["location"] == str(store)


def test_a_second_space_is_asked_for(command: Command, store: Path, corpus: Path, tiny_model: Path) -> None:
    ingest = ("ingest", corpus, "--store", store, "--model", tiny_model, "--dataset", "stories")
    first = command(*ingest, *SMALL_OPTIONS, "--format", "json").json["space"]
    second = command(
        *ingest, "--estimator", "kr=8", "--estimator", "kh=4", "--estimator", "kg=4", "--new-space", "--format", "json"
    )
    assert second.json["new"] == 8
    assert second.json["space"] != first
    query = ("query", "--store", store, "--text", "A key.", "-k", "1", "--format", "json")
    assert "several spaces, choose one with --space" in command(*query).error
    assert command(*query, "--space", first[:8]).json["space"] == first
