"""kill -9 of `rise-store ingest` at random moments until a run is through: nothing is lost, and nothing done twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from rise_store import AttributionStore
from rise_store.ingest.blocks import CHARACTERS_PER_TOKEN
from rise_store.ingest.schedule import BLOCK_BATCHES
from rise_store.records import IngestReport, Run
from rise_store.store import StoredPoint
from tests.cli.conftest import SMALL_OPTIONS
from tests.ingest.examples import open_points, quick_folder, story_rows, what_stays, write_rows

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")

BATCH_TOKENS = 96
BLOCKS_UNDER_WAY = 3  # that are encoded, or being encoded, and have no receipt: at the store, before it, at the model


def ingest(arguments: list[str], out: Path, encoded: Path) -> None:
    """What the killed process does: the command; it notes the tokens of each batch before the model has them."""
    import torch

    from rise_store.cli import main
    from rise_store.signature import SignatureEncoder
    from rise_store.signature import encoder as encoders

    torch.set_num_threads(1)  # threads that wait for each other make a busy machine slow
    encoders.BATCH_TOKENS["cpu", "float32"] = BATCH_TOKENS  # small blocks
    real = SignatureEncoder._encode_batch

    def noted(self: SignatureEncoder, chunks: list[list[int]], starts: list[int]) -> np.ndarray:
        with encoded.open("a") as file:
            file.write(f"{sum(map(len, chunks))}\n")
        return real(self, chunks, starts)

    SignatureEncoder._encode_batch = noted  # type: ignore[method-assign]
    sys.argv = ["rise-store", *arguments]
    sys.stdout = out.open("w")
    try:
        main()
    finally:
        sys.stdout.close()


class Killer:
    """Runs the command for a corpus until it is through, killing it at random moments."""

    def __init__(self, folder: Path, corpus: Path, model: Path, seed: int) -> None:
        print(f"random.Random({seed})")
        self.store = folder / "store"
        self.chance = random.Random(seed)
        self.kills = 0
        self._folder = folder
        self._arguments = [
            *("ingest", str(corpus), "--store", str(self.store), "--model", str(model), "--dataset", "stories"),
            *(*SMALL_OPTIONS, "--format", "json"),
        ]
        self._context = multiprocessing.get_context("forkserver")  # imports torch once for all commands
        self._context.set_forkserver_preload(
            ["rise_store.cli", "rise_store.signature", "transformers.models.llama.modeling_llama"]
        )

    def run(self, longest_s: float, most_kills: int, *more: str) -> IngestReport:
        """Repeat the command, with an upper limit to how often and how late it is killed; its report in the end."""
        while True:
            out = self._folder / "out"
            arguments = ([*self._arguments, *more], out, self._folder / "encoded")
            process = self._context.Process(target=ingest, args=arguments)
            process.start()
            if self.kills < most_kills:
                self._wait_for_a_batch(process, self.chance.uniform(0, longest_s))
                if process.pid is not None and process.is_alive():
                    os.kill(process.pid, signal.SIGKILL)
            process.join(600)
            if process.exitcode == 0:
                return IngestReport.model_validate_json(out.read_bytes())
            assert process.exitcode == -signal.SIGKILL
            self.kills += 1

    def _wait_for_a_batch(self, process: multiprocessing.process.BaseProcess, seconds: float) -> None:
        """Wait until this attempt encodes its first batch, or ends, and so many seconds more."""
        before = self.encoded_tokens
        while process.is_alive() and self.encoded_tokens == before:
            time.sleep(0.01)
        process.join(seconds)

    @property
    def encoded_tokens(self) -> int:
        """Tokens that all attempts gave to the model."""
        file = self._folder / "encoded"
        return sum(map(int, file.read_text().split())) if file.is_file() else 0

    def stored(self) -> dict[str, StoredPoint]:
        with open_points(self.store) as opened:
            return opened.dataset("stories")

    def finished(self) -> Run:
        """The only run of the store."""
        with AttributionStore.open(self.store) as opened:
            (run,) = opened.runs()
            assert opened.check_run(run.id).agrees
            return opened.run(run.id)


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as quick:
        yield quick


@pytest.fixture(autouse=True)
def small_blocks() -> None:
    """Blocks as they are: the processes have them too."""


def check(killer: Killer, undisturbed: Killer, report: IngestReport, texts: list[str]) -> None:
    """The store is what one run without a kill makes of it, and what the kills cost are the blocks under way."""
    run, rows = killer.finished(), len(texts)
    assert (report.state, report.stored, report.new + report.recovered) == ("COMPLETE", rows, rows)
    assert (run.state, run.rows, run.covered, run.attempts) == ("COMPLETE", rows, rows, killer.kills + 1)
    stored, expected = killer.stored(), undisturbed.stored()
    assert stored.keys() == expected.keys()
    for key, point in stored.items():
        assert {**what_stays(point), "read_from": 0} == {**what_stays(expected[key]), "read_from": 0}
        np.testing.assert_allclose(point.vector, expected[key].vector, atol=1e-3)  # other batches, other rounding
    once = undisturbed.encoded_tokens
    lengths = [len(text) for text in texts]
    block = (BLOCK_BATCHES * BATCH_TOKENS * CHARACTERS_PER_TOKEN + max(lengths)) * 1.5 * once / sum(lengths)
    assert once <= killer.encoded_tokens <= once + killer.kills * BLOCKS_UNDER_WAY * block


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again(folder: Path, tiny_model: Path, kills: int) -> None:
    rows = story_rows(200 * kills)
    corpus = write_rows(folder / "stories.jsonl", rows)
    (folder / "killed").mkdir()
    (folder / "once").mkdir()
    undisturbed = Killer(folder / "once", corpus, tiny_model, 0)
    undisturbed.run(0, 0)
    killer = Killer(folder / "killed", corpus, tiny_model, time.time_ns())
    report = killer.run(0.7, kills)
    assert killer.kills > 1
    check(killer, undisturbed, report, [row["text"] for row in rows])


@pytest.mark.slow
def test_a_corpus_that_is_killed_again_and_again(folder: Path, tiny_model: Path, shared: Path) -> None:
    documents = [orjson.loads(line) for line in (shared / "data" / "stream" / "twir.jsonl").read_bytes().splitlines()]
    corpus = write_rows(folder / "stream.jsonl", documents)
    (folder / "killed").mkdir()
    (folder / "once").mkdir()
    undisturbed = Killer(folder / "once", corpus, tiny_model, 0)
    undisturbed.run(0, 0)
    killer = Killer(folder / "killed", corpus, tiny_model, time.time_ns())
    report = killer.run(10, 1000)
    assert killer.kills > 10
    check(killer, undisturbed, report, [document["text"] for document in documents])
