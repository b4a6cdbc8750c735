"""Ingesting with worker processes: what the store holds in the end is what one process puts there."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from rise_store import AttributionStore, ConfigError, InputError, Interrupted
from rise_store.ingest import schedule
from rise_store.ingest.workers.placement import Placement
from rise_store.records import IngestTotals
from rise_store.signature import SignatureEncoder
from tests.conftest import STORY
from tests.ingest.examples import SMALL, OpenStore, Row, open_points, quick_folder, write_rows

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills processes"),
    pytest.mark.usefixtures("quick_workers"),  # those of this process; others start theirs as a user's are
]

PAGE = " ".join([STORY] * 4)  # the tokenizer knows its words
ROWS: list[Row] = [{"id": f"row-{number}", "text": f"{PAGE} {number}."} for number in range(120)]  # 4 blocks


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as quick:
        yield quick


@pytest.fixture(scope="module")
def expected(tiny_model: Path) -> np.ndarray:
    """The signatures of the rows as this process computes them."""
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")
    return encoder.encode([row["text"] for row in ROWS]).signatures


def stored_signatures(store: OpenStore) -> np.ndarray:
    points = store.dataset("stories")
    assert len(points) == len(ROWS)
    return np.stack([points[row["id"]].vector for row in ROWS])  # type: ignore[misc]


def test_a_new_store_and_one_that_exists(folder: Path, tiny_model: Path, expected: np.ndarray) -> None:
    path = folder / "store"
    with AttributionStore.open(path) as store:
        first = store.ingest(ROWS[:50], dataset="stories", model=tiny_model, config=SMALL, workers=2)
        second = store.ingest(ROWS, dataset="stories", workers=1)  # the model, and its tables, are the store's
    assert (first.state, first.new) == ("COMPLETE", 50)
    assert (second.state, second.new, second.unchanged) == ("COMPLETE", 70, 50)
    assert 0 <= first.model_waited < 1
    with open_points(path) as points:
        np.testing.assert_allclose(stored_signatures(points), expected, atol=2e-3)  # stored as float16


def test_rows_that_only_the_tokenizer_can_refuse_are_counted(folder: Path, tiny_model: Path) -> None:
    """A text of one token, and another row of the same text that waits for the first one's signature."""
    from tests.ingest.models import with_short_head, without_special_tokens

    short = without_special_tokens(tiny_model, folder / "plain")
    rows = [{"id": "a", "text": "k"}, {"id": "b", "text": "k"}, ROWS[0], {"id": "c", "text": ROWS[0]["text"]}]
    with AttributionStore.open(folder / "store") as store:
        report = store.ingest(rows, dataset="d", model=short, config=SMALL, workers=1)
        assert (report.state, report.new, report.shared, report.too_short) == ("COMPLETE", 2, 1, 2)

    headless = with_short_head(tiny_model, folder / "short-head", rows=280)
    with AttributionStore.open(folder / "other") as store:
        with pytest.raises(InputError, match=r"row 3: token id \d+ is beyond the LM head.*--max-rejects"):
            store.ingest(
                [{"text": "a b"}, {"text": "c d"}, ROWS[0]], dataset="d", model=headless, config=SMALL, workers=1
            )
        assert store.info().spaces[0].examples == 2


def ingest_in_a_group(folder: Path, model: Path, how: str, told: Connection) -> None:
    """What the process does: it ingests with two workers, started as a user's are, and tells how many are stored."""
    os.setsid()
    schedule.BLOCK_BATCHES = 1  # blocks enough that some are left when the first one is stored

    def progress(totals: IngestTotals, tokens: int) -> None:
        if totals.new:
            told.send(totals.new)
            if how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.2)  # for the signal to come before all is done

    with AttributionStore.open(folder / "store") as store:
        try:
            store.ingest(
                folder / "rows.jsonl", dataset="stories", model=model, config=SMALL, workers=2, progress=progress
            )
        except Interrupted as error:
            told.send(str(error))


def start(folder: Path, model: Path, how: str) -> tuple[BaseProcess, Connection]:
    """Such a process, in a group of its own, and what it tells."""
    write_rows(folder / "rows.jsonl", ROWS)
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=ingest_in_a_group, args=(folder, model, how, there))
    process.start()
    there.close()
    return process, here


def received(told: Connection) -> list[object]:
    """All that a process tells until it has ended."""
    messages = []
    with contextlib.suppress(EOFError):
        while True:
            messages.append(told.recv())
    return messages


def test_after_a_kill_another_number_of_workers_resumes(folder: Path, tiny_model: Path, expected: np.ndarray) -> None:
    process, said = start(folder, tiny_model, "die")
    told = received(said)[-1]
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert isinstance(told, int)
    with AttributionStore.open(folder / "store") as store:
        report = store.ingest(folder / "rows.jsonl", dataset="stories", workers=1)
    assert (report.state, report.stored) == ("COMPLETE", len(ROWS))
    assert report.resumed_rows + report.recovered + report.unchanged >= told > 0  # not computed again
    with open_points(folder / "store") as points:
        np.testing.assert_allclose(stored_signatures(points), expected, atol=2e-3)


@pytest.mark.slow
def test_ctrl_c_reaches_the_whole_group_and_blocks_in_flight_are_stored(folder: Path, tiny_model: Path) -> None:
    process, said = start(folder, tiny_model, "wait")
    said.recv()
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGINT)
    last = str(received(said)[-1])
    process.join(60)
    assert process.exitcode == 0
    assert last.startswith("stopped by Ctrl-C; ")
    with AttributionStore.open(folder / "store") as store:
        (space,) = store.info().spaces
        assert f" {space.examples} examples are stored" in last
        assert store.ingest(folder / "rows.jsonl", dataset="stories", workers=2).stored == len(ROWS)


def test_an_encoder_cannot_be_given_to_workers(store: OpenStore, encoder: SignatureEncoder) -> None:
    with pytest.raises(ConfigError, match="workers load the model themselves"):
        store.ingest(ROWS[:1], dataset="d", model=encoder, workers=1)


def test_where_workers_are_placed() -> None:
    assert Placement.choose(None, (), {}) is None
    cores = len(os.sched_getaffinity(0))
    assert Placement.choose(2, (), {}) == Placement(("cpu", "cpu"), max(1, cores // 2))
    assert Placement.choose(1000, (), {"device": "auto"}) == Placement(("cpu",) * 1000, 1)
    assert Placement.choose(2, (), {"device": "cuda:1"}) == Placement(("cuda:1", "cuda:1"), None)
    assert Placement.choose(None, (0, 2), {"device": "auto"}) == Placement(("cuda:0", "cuda:2"), None)


@pytest.mark.parametrize(
    ("workers", "gpus", "loading", "reason"),
    [
        (0, (), {}, "from 1 on"),
        (2, (0,), {}, "leave --workers out"),
        (None, (0, 0), {}, "different numbers"),
        (None, (-1,), {}, "different numbers"),
        (None, (0,), {"device": "cpu"}, "leave --device cpu out"),
        (2, (), {"device_map": "auto"}, "--device-map"),
        (2, (), {"model_backend": "vllm"}, "vLLM"),
    ],
)
def test_placements_that_contradict(
    workers: int | None, gpus: tuple[int, ...], loading: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        Placement.choose(workers, gpus, loading)
