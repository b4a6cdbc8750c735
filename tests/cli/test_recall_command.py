"""`rise-store recall`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows


def test_a_store_without_approximate_search(command: Command, library: Path) -> None:
    done = command("recall", "--store", library, "--sample", "4", "-k", "3")
    assert (done.code, done.err) == (0, "")
    header, exact, asked, advice = done.out.splitlines()
    assert header.split() == ["search", "recall@3", "95%", "low", "ms", "a", "query"]
    assert exact.split()[:2] == ["exact", "1.0000"]
    assert exact.split()[-1] == "recommended"
    assert asked.startswith("4 stored signatures asked of 12 examples")
    assert advice == (
        "recommended: exact search: this space has no approximate one; "
        "ingest into a new store with --quantization or --hnsw to have one"
    )


def test_as_json(command: Command, library: Path) -> None:
    report = command(
        *("recall", "--store", library, "--sample", "4", "-k", "3", "--seed", "1", "--where", "license=MIT"),
        *("--at-least", "0.9", "--format", "json"),
    ).json
    assert (report["queries"], report["k"], report["examples"], report["at_least"]) == (4, 3, 6, 0.9)
    assert report["where"] == "license = MIT"
    assert report["recommended"] is None
    assert [one["approximate"] for one in report["measurements"]] == [None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-k", "12"), "k is 12, but a stored example has 11 others; choose k from 1 to 11"),
        (("--sample", "0"), "sample is 0; ask with at least 1 stored example"),
        (("--at-least", "1.1"), "at_least is 1.1; a recall lies above 0 and is at most 1"),
        (("--seed", "-1"), "Invalid value for '--seed': -1 is not in the range x>=0."),
        (("--where", "pgae=3"), "no stored example has the field"),
    ],
)
def test_errors(command: Command, library: Path, options: tuple[str, ...], message: str) -> None:
    done = command("recall", "--store", library, *options)
    assert message in done.error
    assert done.out == ""


def test_a_store_with_a_coarse_copy(command: Command, store: Path, tiny_model: Path) -> None:
    file = write_rows(Path("stories.jsonl"), story_rows(60))
    ingest = ("ingest", file, "--store", store, "--model", tiny_model, "--dataset", "tales", "--quantization", "1")
    assert command(*ingest, *SMALL_OPTIONS).code == 0
    audit = ("recall", "--store", store, "--sample", "10", "-k", "3")
    report = command(*audit, "--format", "json").json
    settings = [one["approximate"] for one in report["measurements"]]
    assert settings[0] is None
    assert [setting["oversampling"] for setting in settings[1:]] == [1, 2, 4, 8]
    table = command(*audit).out.splitlines()
    assert [line.split("  ")[0] for line in table[2:6]] == [f"quantized, oversampling {n}" for n in (1, 2, 4, 8)]
    assert sum("recommended" in line for line in table[:6]) == 1
    query = ("query", "--store", store, "--text", story_rows(4)[3]["text"], "-k", "3", "--approximate")
    result = command(*query, "--format", "json").json
    assert result["results"][0]["example_id"] == "row-3"
    assert result["approximate"] == {"method": "quantized", "oversampling": 4.0, "ef": None}
    assert "3 of 60 examples, approximate: quantized, oversampling 4;" in command(*query).out
    refused = command(*query, "--ef", "64").error
    assert refused == "ef is 64, but this space has no graph to walk through; leave --ef out"
