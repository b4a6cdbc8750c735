"""Ingesting on a Ray cluster of two workers on this machine, into a server: as one process does it, exactly once."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_store import AttributionStore, ConfigError, InputError, Interrupted, ModelError, WorkerError
from rise_store.ingest import Block, RunContext
from rise_store.ingest.ray.worker import Attempts, RayWorker, Work
from rise_store.ingest.workers.remote import EncoderRecipe
from rise_store.records import Dataset, Example, IngestTotals, Receipt
from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from tests.conftest import STORY
from tests.ingest.examples import SMALL, OpenStore, Row

pytest.importorskip("ray")

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:`{name}` is deprecated:DeprecationWarning")  # by Ray, of its own settings
    for name in ("use_push_based_shuffle", "use_polars", "use_arrow_tensor_v2")
]

LOOPBACK = Path(__file__).parent.parent / "store" / "loopback_qdrant.py"
PAGE = " ".join([STORY] * 4)  # the tokenizer knows its words
ROWS: list[Row] = [{"id": f"row-{number}", "text": f"{PAGE} {number}."} for number in range(160)]  # 5 blocks


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """Ray on this machine, with room for two workers."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False, logging_level="ERROR"
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def url() -> Iterator[str]:
    """A store on a server, which is a process of its own, since the workers speak with it too."""
    with subprocess.Popen([sys.executable, str(LOOPBACK), "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.fixture
def store(url: str) -> Iterator[OpenStore]:
    with open_store(url, create=True) as backend:
        yield OpenStore(backend)


@pytest.fixture(scope="module")
def here(tiny_model: Path) -> SignatureEncoder:
    """The tiny model in this process."""
    return SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")


def receipts(store: OpenStore) -> list[Receipt]:
    return [Receipt.model_validate(document) for _, document in store.backend.catalogue().scan("receipt")]


def assert_all_stored_once(store: OpenStore, encoder: SignatureEncoder) -> None:
    points = store.dataset("stories")
    assert len(points) == len(ROWS)
    (space,) = store.backend.spaces()
    assert store.backend.open_collection(space.fingerprint).count() == len(ROWS)
    stored = np.stack([points[row["id"]].vector for row in ROWS])  # type: ignore[misc]
    np.testing.assert_allclose(stored, encoder.encode([row["text"] for row in ROWS]).signatures, atol=2e-3)


def test_two_workers_store_what_one_process_stores(store: OpenStore, tiny_model: Path, here: SignatureEncoder) -> None:
    report = store.ingest(ROWS, dataset="stories", model=tiny_model, config=SMALL, ray="", workers=2)
    assert (report.state, report.new, report.stored) == ("COMPLETE", len(ROWS), len(ROWS))
    assert_all_stored_once(store, here)
    assert all(not receipt.worker.endswith(f":{os.getpid()}") for receipt in receipts(store))


def test_the_blocks_of_a_killed_worker_are_done_by_another(
    store: OpenStore, tiny_model: Path, here: SignatureEncoder
) -> None:
    killed: list[int] = []

    def kill_first(totals: IngestTotals, tokens: int) -> None:
        if totals.new and not killed:
            killed.append(int(receipts(store)[0].worker.rsplit(":", 1)[1]))
            os.kill(killed[0], signal.SIGKILL)

    report = store.ingest(
        ROWS, dataset="stories", model=tiny_model, config=SMALL, ray="", workers=2, progress=kill_first
    )
    assert killed
    assert {receipt.worker.endswith(f":{killed[0]}") for receipt in receipts(store)} == {True, False}
    assert (report.state, report.new + report.recovered, report.stored) == ("COMPLETE", len(ROWS), len(ROWS))
    assert_all_stored_once(store, here)


@pytest.mark.slow
def test_an_interrupted_run_is_completed_without_ray(
    store: OpenStore, tiny_model: Path, here: SignatureEncoder
) -> None:
    def interrupt(totals: IngestTotals, tokens: int) -> None:
        if totals.new == tokens == 0 or not presses:
            return
        signal.raise_signal(presses.pop())

    rows = [*ROWS, *({"id": f"more-{number}", "text": f"{number}: {STORY}"} for number in range(1000))]
    presses = [signal.SIGINT]
    with pytest.raises(Interrupted, match=r"stopped by Ctrl-C; \d+ examples are stored"):
        store.ingest(rows, dataset="stories", model=tiny_model, config=SMALL, ray="", workers=1, progress=interrupt)
    before = len(store.dataset("stories"))
    assert 0 < before < len(rows)
    report = store.ingest(rows, dataset="stories", model=here)
    assert (report.state, report.new, report.unchanged) == ("COMPLETE", len(rows) - before, before)


def test_errors_are_those_of_one_process(store: OpenStore, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder at"):
        store.ingest(ROWS[:1], dataset="d", model=tmp_path / "none", config=SMALL, ray="", workers=1)
    rows = [ROWS[0], {"id": "bad", "text": 5}, ROWS[1]]
    with pytest.raises(InputError, match=r'row 2: "text".*the good rows before it are stored'):
        store.ingest(rows, dataset="d", model=tiny_model, config=SMALL, ray="", workers=1)
    assert set(store.dataset("d")) == {"row-0"}


def test_a_block_that_ended_two_workers_is_refused_with_its_rows(
    cluster: Any, store: OpenStore, url: str, tiny_model: Path, here: SignatureEncoder
) -> None:
    store.backend.create_space(here.space(), here.tables.arrays())
    attempts = cluster.remote(num_cpus=0)(Attempts).remote()
    run = RunContext(Dataset(name="d"))
    work = Work(EncoderRecipe(tiny_model, SMALL, None, {"device": "cpu"}), 1, url, here.fingerprint, run, 1.0)
    worker = RayWorker(work, attempts)
    block = Block((Example(text=PAGE, location="a:1"), Example(text=STORY, location="a:2")), first=7)

    def result() -> Any:
        return pickle.loads(worker({"block": [pickle.dumps(block)]})["result"][0])

    first, second, third = result(), result(), result()  # as if the first two had been lost with their workers
    assert (first.counts.new, second.counts.unchanged) == (2, 2)
    assert isinstance(third, WorkerError)
    assert str(third).startswith("a:1 to a:2: 2 workers on Ray ended while they worked on them")


def test_a_store_in_a_folder_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    with AttributionStore.open(tmp_path / "store") as store, pytest.raises(ConfigError, match="is a folder"):
        store.ingest(ROWS[:1], dataset="d", model=tiny_model, ray="")
