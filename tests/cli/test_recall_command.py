"""`rise-store recall`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_a_store_without_approximate_search(command: Command, library: Path) -> None:
    done = command("recall", "--store", library, "--sample", "4", "-k", "3")
    assert (done.code, done.err) == (0, "")
    header, exact, asked, advice = done.out.splitlines()
    assert header.split() == ["search", "recall@3", "at", "least", "ms", "a", "query"]
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
        (("--where", "pgae=3"), "no stored example has the field"),
    ],
)
def test_errors(command: Command, library: Path, options: tuple[str, ...], message: str) -> None:
    done = command("recall", "--store", library, *options)
    assert message in done.error
    assert done.out == ""
