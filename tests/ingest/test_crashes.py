"""kill -9 of an ingesting process at random moments: what it reported as stored is there; a rerun completes it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from rise_store import AttributionStore
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SMALL, Row, encode_rows, open_points, quick_folder, story_rows, what_stays

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")

ROWS = story_rows(60)


def ingest(folder: Path, model: Path, rows: list[Row], told: Connection) -> None:
    """What the killed process does; tells how many rows the store has acknowledged."""
    torch.set_num_threads(1)  # threads that wait for each other make a busy machine slow
    encoder = SignatureEncoder.from_pretrained(model, SMALL, device="cpu", batch_tokens=64)
    told.send(0)
    with AttributionStore.open(folder) as store:
        store.ingest(
            rows,
            dataset="stories",
            model=encoder,
            progress=lambda totals, _: told.send(totals.new + totals.replaced + totals.unchanged),
        )


class Victim:
    """A process that ingests rows until it is killed."""

    def __init__(self, folder: Path, model: Path, rows: list[Row]) -> None:
        context = multiprocessing.get_context("forkserver")  # imports torch once for all victims
        context.set_forkserver_preload(["rise_store.signature", "transformers.models.llama.modeling_llama"])
        self._told, teller = context.Pipe(duplex=False)
        self._process = context.Process(target=ingest, args=(folder, model, rows, teller))
        self._process.start()
        teller.close()
        self.acknowledged = self._told.recv()

    def kill(self, reports: int, seconds: float) -> None:
        """Kill it that many reports and seconds from now, unless it has finished."""
        for _ in range(reports):
            try:
                self.acknowledged = self._told.recv()
            except EOFError:
                break
        time.sleep(seconds)
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join(timeout=60)
        assert self._process.exitcode in (0, -signal.SIGKILL)
        while True:  # what it said before it died
            try:
                self.acknowledged = self._told.recv()
            except EOFError:
                break
        self._told.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as quick:
        yield quick / "store"


@pytest.fixture
def chance() -> random.Random:
    seed = time.time_ns()
    print(f"random.Random({seed})")
    return random.Random(seed)


@pytest.mark.parametrize("attempt", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_what_was_reported_is_stored_and_a_rerun_stores_all_of_it_once(
    folder: Path, tiny_model: Path, encoder: SignatureEncoder, chance: random.Random, attempt: int
) -> None:
    for _ in range(2):
        victim = Victim(folder, tiny_model, ROWS)
        victim.kill(chance.randint(0, 25), chance.uniform(0, 0.05))
        with AttributionStore.open(folder) as store:
            spaces = store.info().spaces
            assert victim.acknowledged <= sum(space.examples for space in spaces) <= len(ROWS)

    with AttributionStore.open(folder) as store:
        report = store.ingest(ROWS, dataset="stories", model=encoder)
    assert report.new + report.unchanged == report.stored == len(ROWS)
    with open_points(folder) as open_store:
        stored = open_store.dataset("stories")
    assert list(map(stored.__contains__, (row["id"] for row in ROWS))) == [True] * len(ROWS)
    vectors = np.stack([stored[row["id"]].vector for row in ROWS])
    np.testing.assert_allclose(vectors, encode_rows(encoder, ROWS), atol=2e-3)


def test_a_row_that_was_being_replaced_is_the_old_one_or_the_new_one(
    folder: Path, tiny_model: Path, encoder: SignatureEncoder, chance: random.Random
) -> None:
    changed = [row | {"text": f"Changed: {row['text']}", "metadata": {"version": 2}} for row in ROWS]
    with AttributionStore.open(folder) as store:
        store.ingest(ROWS, dataset="stories", model=encoder)
    with open_points(folder) as open_store:
        old = {key: what_stays(point) for key, point in open_store.dataset("stories").items()}

    Victim(folder, tiny_model, changed).kill(chance.randint(2, 25), chance.uniform(0, 0.02))
    with open_points(folder) as open_store:
        between = open_store.dataset("stories")
    assert between.keys() == old.keys()
    signatures = dict(zip((row["id"] for row in changed), encode_rows(encoder, changed), strict=True))
    for row in changed:
        point = between[row["id"]]
        if what_stays(point) != old[row["id"]]:
            assert (point.payload["text"], point.payload["metadata"]) == (row["text"], row["metadata"])
            np.testing.assert_allclose(point.vector, signatures[row["id"]], atol=2e-3)

    with AttributionStore.open(folder) as store:
        report = store.ingest(changed, dataset="stories", model=encoder)
    assert report.replaced + report.unchanged == report.stored == len(ROWS)
