"""A store that goes away, or whose disk is full, while a watch goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rise_store import StoreError, StoreFullError
from rise_store.ingest import Patience
from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from rise_store.store.embedded import upkeep
from tests.ingest.examples import OpenStore, story_rows
from tests.ingest.watch.sessions import append, runs, watching

sys.path.insert(0, str(Path(__file__).parents[2] / "store"))

from loopback_qdrant import serving


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rise_store.store.server.retry.TRIES", 3)
    monkeypatch.setattr("rise_store.store.server.retry.FIRST_WAIT_S", 0.4)
    monkeypatch.setattr("rise_store.ingest.patience.LONGEST_WAIT_S", 0.1)


def test_a_server_that_goes_away_is_caught_up_with(encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(2))
    with serving() as server, open_store(server.url, create=True) as backend:
        store = OpenStore(backend)
        with watching(store, encoder, file, status=tmp_path / "watch.json") as session:
            session.wait_for("row-1")
            server.stop()
            append(file, *story_rows(3, start=2))
            session.wait(lambda: session.troubles)
            session.wait(lambda: '"waiting"' in (tmp_path / "watch.json").read_text())
            file.rename(tmp_path / "a.jsonl.1")
            append(file, *story_rows(1, start=5))
            server.start()
            session.wait(lambda: session.handled == 6)
        assert set(session.texts()) == {f"row-{number}" for number in range(6)}
        assert session.report is not None
        assert (session.report.state, session.report.new, session.report.unchanged) == ("COMPLETE", 6, 0)
        assert len(session.troubles) == 2
        assert "cannot be reached" in session.troubles[0]
        assert session.troubles[1] == "the store answers again"


def test_stopped_while_the_store_is_away_it_says_so(encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(2))
    with serving() as server, open_store(server.url, create=True) as backend:
        store = OpenStore(backend)
        with pytest.raises(StoreError, match="cannot be reached"):  # noqa: PT012, SIM117
            with watching(store, encoder, file) as session:
                session.wait_for("row-1")
                server.stop()
                append(file, *story_rows(1, start=2))
                session.wait(lambda: session.troubles)
        server.start()
        # The test itself reads the store too, and gRPC tries again to connect only after a pause.
        Patience(60)(lambda: store.dataset("stories"))
        with watching(store, encoder, file) as session:
            session.wait(lambda: session.handled == 1)
        assert session.report is not None
        assert (session.report.state, session.report.new, session.report.unchanged) == ("COMPLETE", 1, 0)
        assert [run.state for run in runs(store)] == ["STOPPED", "COMPLETE"]


def test_a_full_disk_is_waited_for(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.jsonl"
    append(file, *story_rows(2))
    with watching(store, encoder, file) as session:
        session.wait_for("row-1")

        def full(*_: object) -> None:
            raise StoreFullError("the disk under the store is full: could not store. Free some space")

        with monkeypatch.context() as disk:
            disk.setattr(upkeep, "require_free", full)
            append(file, *story_rows(2, start=2))
            session.wait(lambda: session.troubles)
            assert "row-2" not in session.texts()
        session.wait_for("row-3")
    assert session.report is not None
    assert (session.report.state, session.report.new) == ("COMPLETE", 4)
    assert "disk under the store is full" in session.troubles[0]
