"""Ingesting with worker processes: what the store holds in the end is what one process puts there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rise_store import AttributionStore, ConfigError, InputError
from rise_store.ingest.workers.placement import Placement
from rise_store.signature import SignatureEncoder
from tests.conftest import STORY
from tests.ingest.examples import SMALL, OpenStore, Row, open_points, quick_folder, write_rows

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills processes"),
    pytest.mark.usefixtures("quick_workers"),  # those of this process; scripts start theirs as a user's are
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


RUN = """
    import os, signal, sys
    from pathlib import Path
    from rise_store import AttributionStore, Interrupted
    from rise_store.ingest import schedule
    from tests.ingest.examples import SMALL

    schedule.BLOCK_BATCHES = 1  # blocks enough that some are left when the first one is stored

    def progress(totals, tokens):
        if totals.new:
            print(totals.new, flush=True)
            if sys.argv[4] == "die":
                os.kill(os.getpid(), signal.SIGKILL)

    with AttributionStore.open(sys.argv[1]) as store:
        try:
            store.ingest(sys.argv[2], dataset="stories", model=sys.argv[3], config=SMALL, workers=2, progress=progress)
        except Interrupted as error:
            print(error, flush=True)
"""


def start(folder: Path, model: Path, how: str) -> subprocess.Popen[str]:
    """A process, in a group of its own, that ingests with two workers and prints how many examples are stored."""
    write_rows(folder / "rows.jsonl", ROWS)
    arguments = [str(folder / "store"), str(folder / "rows.jsonl"), str(model), how]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUN), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_after_a_kill_another_number_of_workers_resumes(folder: Path, tiny_model: Path, expected: np.ndarray) -> None:
    process = start(folder, tiny_model, "die")
    assert process.wait(120) == -signal.SIGKILL
    assert process.stdout is not None
    told = int(process.stdout.read().split()[-1])
    process.stdout.close()
    with AttributionStore.open(folder / "store") as store:
        report = store.ingest(folder / "rows.jsonl", dataset="stories", workers=1)
    assert (report.state, report.stored) == ("COMPLETE", len(ROWS))
    assert report.resumed_rows + report.recovered + report.unchanged >= told > 0  # not computed again
    with open_points(folder / "store") as points:
        np.testing.assert_allclose(stored_signatures(points), expected, atol=2e-3)


def test_ctrl_c_reaches_the_whole_group_and_blocks_in_flight_are_stored(folder: Path, tiny_model: Path) -> None:
    process = start(folder, tiny_model, "wait")
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    said = process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 0
    last = said.splitlines()[-1]
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
