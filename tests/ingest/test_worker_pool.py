"""Worker processes: the signatures are those of one process, whatever happens to a worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from rise_store import ModelError, SignatureError, WorkerError
from rise_store.ingest.encoding import EncodedBlock, TokenizedBlock
from rise_store.ingest.patience import Notify
from rise_store.ingest.texts import EncodedTexts, PlainTexts, tokenize_texts
from rise_store.ingest.workers.pool import WorkerPool
from rise_store.signature import SignatureEncoder
from tests.cli.processes import wait_until
from tests.ingest.examples import SMALL, story_rows
from tests.ingest.models import cut_off, with_nan_at

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops and kills processes"),
    pytest.mark.usefixtures("quick_workers"),
]

TEXTS = [row["text"] for row in story_rows(240)]


def blocks(texts: list[str] = TEXTS, size: int = 20) -> list[TokenizedBlock]:
    return [
        TokenizedBlock(start, PlainTexts(tuple(texts[start : start + size]))) for start in range(0, len(texts), size)
    ]


@contextmanager
def pool(model: Path, workers: int = 2, notify: Notify = lambda line: None) -> Iterator[WorkerPool]:
    """Workers with the tiny model and one thread each."""
    with WorkerPool(["cpu"] * workers, threads=1, notify=notify) as started:
        started.load(model, SMALL, batch_tokens=64)
        yield started


@pytest.fixture(scope="module")
def two_workers(tiny_model: Path, quick_workers: None) -> Iterator[WorkerPool]:
    with pool(tiny_model) as started:
        yield started


def once(action: Callable[[], object]) -> Callable[[int], None]:
    """A progress callback that does something the first time."""
    left = [action]
    return lambda tokens: left.pop()() if left else None  # type: ignore[func-returns-value]


def ignored(tokens: int) -> None:
    """Progress that nobody looks at."""


def signatures(results: Iterable[EncodedBlock]) -> np.ndarray:
    """Those of all texts in order; every block must have come exactly once."""
    by_number = {}
    for result in results:
        assert isinstance(result.texts, EncodedTexts)
        assert result.number not in by_number
        by_number[result.number] = result.texts.signatures
    return np.concatenate([by_number[number] for number in sorted(by_number)])


@pytest.fixture(scope="module")
def expected(tiny_model: Path) -> np.ndarray:
    """The signatures of the texts as this process computes them."""
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", batch_tokens=64)
    return encoder.encode(TEXTS).signatures


def test_two_workers_give_what_one_process_gives(
    two_workers: WorkerPool, encoder: SignatureEncoder, expected: np.ndarray
) -> None:
    assert two_workers.encoder.fingerprint == encoder.fingerprint
    assert two_workers.encoder.batch_tokens == encoder.batch_tokens
    tokens: list[int] = []
    np.testing.assert_allclose(signatures(two_workers.run(iter(blocks()), tokens.append)), expected, atol=1e-6)
    assert sum(tokens) == sum(len(chunk) for parts in encoder.chunks(TEXTS) for chunk in parts)
    assert 0 <= two_workers.waited < 1


def test_texts_may_be_tokenized_already(
    two_workers: WorkerPool, encoder: SignatureEncoder, expected: np.ndarray
) -> None:
    tokenized = [TokenizedBlock(block.number, tokenize_texts(block.texts.texts, encoder)) for block in blocks()]  # type: ignore[arg-type]
    np.testing.assert_allclose(signatures(two_workers.run(iter(tokenized), ignored)), expected, atol=1e-6)


def test_a_text_without_signature_is_said_to_be_unfit(two_workers: WorkerPool) -> None:
    (result,) = two_workers.run(iter([TokenizedBlock(7, PlainTexts(("", TEXTS[0])))]), ignored)
    assert isinstance(result.texts, EncodedTexts)
    assert (result.number, result.texts.fit, list(result.texts.unfit)) == (7, (1,), [0])


def test_an_abandoned_run_leaves_nothing_for_the_next(two_workers: WorkerPool, expected: np.ndarray) -> None:
    abandoned = two_workers.run(iter(blocks()), ignored)
    next(abandoned)
    abandoned.close()
    np.testing.assert_allclose(signatures(two_workers.run(iter(blocks()), ignored)), expected, atol=1e-6)


def test_what_the_source_of_blocks_raises_is_raised(two_workers: WorkerPool) -> None:
    def damaged() -> Iterator[TokenizedBlock]:
        yield from blocks()[:2]
        raise ZeroDivisionError("in the source")

    with pytest.raises(ZeroDivisionError, match="in the source"):
        list(two_workers.run(damaged(), ignored))


def test_a_killed_worker_is_replaced_and_its_blocks_are_done(two_workers: WorkerPool, expected: np.ndarray) -> None:
    before = two_workers.pids
    kill = once(lambda: os.kill(before[0], signal.SIGKILL))
    np.testing.assert_allclose(signatures(two_workers.run(iter(blocks()), kill)), expected, atol=1e-6)
    assert not alive(before[0])
    assert before[1] in two_workers.pids
    wait_until(lambda: len(two_workers.pids) == 2)


def test_a_stopped_worker_keeps_only_the_block_that_it_works_on(two_workers: WorkerPool) -> None:
    stopped = two_workers.pids[1]  # the other one may have been replaced, and be loading still
    results = two_workers.run(iter(blocks()), once(lambda: os.kill(stopped, signal.SIGSTOP)))
    came = [next(results).number for _ in range(len(blocks()) - 1)]
    os.kill(stopped, signal.SIGCONT)
    came += [result.number for result in results]
    assert sorted(came) == [block.number for block in blocks()]


def test_the_blocks_of_a_silent_worker_are_done_by_others(
    two_workers: WorkerPool, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_workers, "patience_s", 0.5)
    silent = two_workers.pids[1]
    stop = once(lambda: os.kill(silent, signal.SIGSTOP))
    np.testing.assert_allclose(signatures(two_workers.run(iter(blocks()), stop)), expected, atol=1e-6)
    os.kill(silent, signal.SIGCONT)


def test_a_block_that_ends_two_workers_is_given_up(tiny_model: Path) -> None:
    told: list[str] = []
    with pool(tiny_model, workers=1, notify=told.append) as workers:
        (result,) = workers.run(iter(blocks(size=240)), lambda _: os.kill(workers.pids[0], signal.SIGKILL))
        assert isinstance(result.texts, WorkerError)
        assert "2 worker processes ended while they worked on them" in str(result.texts)
        assert "killed by SIGKILL, as when memory runs out" in str(result.texts)
        assert told[0].startswith("the worker on cpu was killed by SIGKILL")


def test_workers_take_no_notice_of_ctrl_c(
    tiny_model: Path, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rise_store.ingest.workers.process.multiprocessing", multiprocessing)  # as a user's are started
    with pool(tiny_model) as workers:  # of which the second one may still be starting
        before = workers.pids
        for pid in before:
            os.kill(pid, signal.SIGINT)
        np.testing.assert_allclose(signatures(workers.run(iter(blocks()), ignored)), expected, atol=1e-6)
        assert workers.pids == before


def test_a_model_that_cannot_be_loaded_is_the_error_that_it_is_in_one_process(tiny_model: Path, tmp_path: Path) -> None:
    damaged = cut_off(tiny_model, tmp_path / "damaged")
    with pytest.raises(ModelError) as here:
        SignatureEncoder.from_pretrained(damaged, SMALL, device="cpu")
    with pytest.raises(ModelError) as there, pool(damaged):
        pass
    assert str(there.value) == str(here.value)


def test_a_text_without_finite_signature_is_named(tiny_model: Path, tmp_path: Path) -> None:
    with pool(with_nan_at(tiny_model, tmp_path / "nan", "Ġkey")) as workers:
        (result,) = workers.run(iter([TokenizedBlock(0, PlainTexts(("A box.", "He found a key in it.")))]), ignored)
        assert isinstance(result.texts, SignatureError)
        assert result.texts.text == 1


def _start_and_tell(model: Path, told: Connection) -> None:
    """In a process of its own, whose workers are started as a user's are."""
    with pool(model) as workers:
        told.send(workers.pids)
        time.sleep(600)


def test_workers_die_with_their_parent(tiny_model: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    parent = context.Process(target=_start_and_tell, args=(tiny_model, there))
    parent.start()
    there.close()
    pids = here.recv()
    assert all(map(alive, pids))
    parent.kill()
    parent.join()
    wait_until(lambda: not any(map(alive, pids)))


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
