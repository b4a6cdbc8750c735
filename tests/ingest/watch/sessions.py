"""A watch in a thread of the test, over a store that the test reads meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from rise_store.records import IngestReport, Run, WatchStatus
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, Row

DATASET = "stories"


@dataclass
class Session:
    """What a watch said so far; `report` when it has ended."""

    store: OpenStore
    stop: threading.Event = field(default_factory=threading.Event)
    statuses: list[WatchStatus] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    report: IngestReport | None = None
    error: BaseException | None = None
    earlier_runs: set[str] = field(default_factory=set)

    def texts(self) -> dict[str, str]:
        """The stored texts by example id; nothing where there is no space yet."""
        return texts_of(self.store)

    def wait(self, condition: Callable[[], Any], seconds: float = 60) -> None:
        """Wait for something to become true; an error of the watch fails the test at once."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.error is not None:
                raise self.error
            assert time.monotonic() < deadline, f"it did not happen: {self.statuses[-1:]} {self.troubles}"
            time.sleep(0.02)

    def wait_for(self, *ids: str) -> None:
        """Wait until the examples are stored, and the watch is done with their blocks: receipts, places, status."""
        self.wait(lambda: set(ids) <= set(self.texts()))
        self.wait(lambda: self._stored_by_now() <= (self.statuses[-1].counts.written if self.statuses else 0))

    def _stored_by_now(self) -> int:
        runs = [point.payload["run_id"] for point in self.store.dataset(DATASET).values()]
        return sum(run not in self.earlier_runs for run in runs)

    @property
    def handled(self) -> int:
        """Rows that have a receipt."""
        if not self.statuses:
            return 0
        counts = self.statuses[-1].counts
        return counts.stored + counts.rejected + counts.too_short + counts.refused


def texts_of(store: OpenStore) -> dict[str, str]:
    if not store.backend.spaces():
        return {}
    return {id: point.payload["text"] for id, point in store.dataset(DATASET).items()}


@contextmanager
def watching(store: OpenStore, encoder: SignatureEncoder, *sources: object, **options: Any) -> Iterator[Session]:
    """A watch over sources; leaving the block stops it and waits for its end."""
    session = Session(store)
    if store.backend.spaces():
        session.earlier_runs = {point.payload["run_id"] for point in store.dataset(DATASET).values()}

    def run() -> None:
        try:
            session.report = store.watch(
                [str(source) for source in sources],
                dataset=DATASET,
                model=encoder,
                stop=session.stop,
                on_trouble=session.troubles.append,
                on_block=session.statuses.append,
                **{"max_delay": 0.1, **options},
            )
        except BaseException as error:
            session.error = error

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield session
    finally:
        session.stop.set()
        thread.join(30)
    assert not thread.is_alive()
    if session.error is not None:
        raise session.error


def watch_once(store: OpenStore, encoder: SignatureEncoder, *sources: object, **options: Any) -> IngestReport:
    """What is there now."""
    options = {"max_delay": 0.1, **options}
    return store.watch([str(s) for s in sources], dataset=DATASET, model=encoder, once=True, **options)


def append(path: Path, *rows: Row | bytes) -> None:
    """Append rows as lines; bytes as they are."""
    with path.open("ab") as file:
        for row in rows:
            file.write(row if isinstance(row, bytes) else orjson.dumps(row) + b"\n")


def runs(store: OpenStore) -> list[Run]:
    """The runs of the store, oldest first."""
    found = [Run.model_validate(document) for _, document in store.backend.catalogue().scan("run")]
    return sorted(found, key=lambda run: run.started_at)
