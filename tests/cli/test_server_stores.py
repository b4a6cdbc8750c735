"""Commands on a store on a server, over the wire."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows

sys.path.insert(0, str(Path(__file__).parent.parent / "store"))

from loopback_qdrant import LoopbackQdrant, serving

KEY = "s3cret-key-of-the-test"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackQdrant]:
    monkeypatch.setenv("RISE_STORE_API_KEY", KEY)
    with serving(api_key=KEY) as server:
        yield server


def test_ingest_info_and_query(command: Command, server: LoopbackQdrant, tiny_model: Path) -> None:
    rows = story_rows(12)
    write_rows(Path("stories.jsonl"), rows)
    url = server.url.replace("?", "/tales?")
    ingest = ("ingest", "stories.jsonl", "--store", url, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    first = command(*ingest, "--format", "json")
    assert (first.code, first.json["stored"], first.json["new"]) == (0, 12, 12)
    again = command(*ingest, "--format", "json")
    assert (again.json["stored"], again.json["new"], again.json["unchanged"]) == (12, 0, 12)

    info = command("info", "--store", url, "--format", "json").json
    assert info["location"] == url
    assert [(space["examples"], space["size_bytes"], space["datasets"]) for space in info["spaces"]] == [
        (12, None, {"d": 12})
    ]
    assert command("info", "--store", url).code == 0

    query = command("query", "--store", url, "--text", rows[3]["text"], "-k", "3", "--format", "json")
    best = query.json["results"][0]
    assert (best["example_id"], round(best["score"], 3)) == ("row-3", 1.0)
    assert command("query", "--store", url, "--text", "A key.", "--where", "dataset=d", "-k", "2").code == 0
    assert [name.split(".")[0] for name in server.local.created] == ["tales", "tales"]
    for result in (first, again, query):
        assert KEY not in result.out + result.err


def test_a_store_that_is_not_there_is_not_made_by_a_question(command: Command, server: LoopbackQdrant) -> None:
    for arguments in (("info",), ("query", "--text", "A key.", "-k", "1")):
        error = command(*arguments, "--store", server.url).error
        assert error.startswith(f"there is no rise_store store 'rise_store' on the server at {server.url}")
    assert server.local.created == {}


def test_a_key_that_is_wrong_is_not_told(
    command: Command, server: LoopbackQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISE_STORE_API_KEY", "wr0ng")
    error = command("info", "--store", server.url).error
    assert "refused access" in error
    assert "wr0ng" not in error


def test_what_is_no_url_of_a_store(command: Command) -> None:
    error = command("info", "--store", "http://localhost:port").error
    assert "has a port that is no number" in error
