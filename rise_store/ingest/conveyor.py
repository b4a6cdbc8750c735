"""Blocks on their way: one thread reads, plans and tokenizes, the calling one has the model, one stores."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rise_store.errors import SignatureError, WorkerError
from rise_store.ingest.block import Block
from rise_store.ingest.blocks import Blocks
from rise_store.ingest.encoding import EncodedBlock, Encoding, TokenizedBlock
from rise_store.ingest.interrupt import Interrupt
from rise_store.ingest.plan import AwaitedText, PlannedBlock, Underway, explained
from rise_store.ingest.texts import EncodedTexts, PreparedTexts, TokenProgress, nothing_encoded

STORING = 2  # blocks that may be in the store's hands beside those of the models: one being stored, one waiting
_POLL_S = 0.1  # signals are looked at so often while a thread waits
_LAST_WAIT_S = 0.5  # for a thread that cannot be told to end, since its source or store does not answer

Plan = Callable[[Block, Mapping[str, AwaitedText]], tuple[PlannedBlock, PreparedTexts]]
Store = Callable[[PlannedBlock, EncodedTexts], None]


@dataclass(frozen=True)
class _Job:
    number: int
    planned: PlannedBlock
    texts: PreparedTexts
    underway: Underway
    keys: frozenset[str]

    @property
    def is_ready(self) -> bool:
        """Whether all texts that it shares with other blocks are encoded."""
        return all(text.block.encoded is not None for _, text in self.planned.awaited)


class _Stopped(Exception):
    """Another thread failed: nothing more is to be encoded."""


class Conveyor:
    """Runs blocks through planning, model and store, all three at once.

    A block whose keys are in a block that is not stored yet waits for it, so that a later row replaces an earlier one;
    a text that is being encoded for another block is not encoded again. At most a few blocks are under way.
    """

    def __init__(self, blocks: Blocks, plan: Plan, store: Store, dim: int, interrupt: Interrupt) -> None:
        """`plan` is called in the reading thread, `store` in the storing one, each for one block after the other."""
        self._blocks = blocks
        self._plan = plan
        self._store = store
        self._dim = dim
        self._interrupt = interrupt
        self._change = threading.Condition()
        self._under_way: dict[int, _Job] = {}  # planned, and not stored
        self._texts: dict[str, AwaitedText] = {}  # of them
        self._to_encode: deque[_Job] = deque()
        self._to_store: deque[tuple[_Job, EncodedTexts]] = deque()
        self._planning = False
        self._all_read = False
        self._all_encoded = False
        self._error: BaseException | None = None
        self._store_failed = False
        self._limit = 0
        self._planned = 0

    def run(self, encoding: Encoding, progress: TokenProgress) -> None:
        """Until the blocks end, or Ctrl-C: then what the model has is still stored.

        Raises:
            BaseException: what a thread raised; what was encoded before it is stored.
        """
        self._limit = encoding.ahead + STORING
        reader = threading.Thread(target=self._read, name="rise-store-reader", daemon=True)
        writer = threading.Thread(target=self._write, name="rise-store-writer", daemon=True)
        reader.start()
        writer.start()

        def on_batch(tokens: int) -> None:
            if self._error is not None:
                raise _Stopped
            progress(tokens)

        results = encoding.run(self._feed(), on_batch)
        try:
            for done in results:
                self._encoded(done)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error, at_once=not isinstance(error, Exception))
        finally:
            self._end(results, reader, writer)
        if self._error is not None:
            raise self._error

    def _end(self, results: Iterator[EncodedBlock], reader: threading.Thread, writer: threading.Thread) -> None:
        close = getattr(results, "close", None)
        if close is not None:
            close()
        with self._change:
            self._all_encoded = True
            self._change.notify_all()
        try:
            while writer.is_alive() and not self._interrupt.insisted:
                writer.join(_POLL_S)
        except KeyboardInterrupt as error:
            self._fail(error, at_once=True)
        for thread in (writer, reader):
            thread.join(_LAST_WAIT_S)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            for block in self._blocks:
                with self._change:
                    self._planning = True
                if not self._admitted(_keys(block)):
                    return
                self._begin(block)
                with self._change:
                    self._planning = False
        except BaseException as error:
            self._fail(error)
        finally:
            with self._change:
                self._all_read = True
                self._change.notify_all()

    def _admitted(self, keys: frozenset[str], *, last: bool = False) -> bool:
        """Wait until there is room for a block with these keys; False when it is not wanted any more."""
        with self._change:
            while not (self._error or (self._interrupt.requested and not last)):
                if len(self._under_way) < self._limit and all(
                    keys.isdisjoint(job.keys) for job in self._under_way.values()
                ):
                    return True
                self._change.wait(_POLL_S)
        return False

    def _begin(self, block: Block) -> None:
        with self._change:
            texts = dict(self._texts)
        planned, tokenized = self._plan(block, texts)
        job = _Job(self._planned, planned, tokenized, Underway(), _keys(block))
        with self._change:
            self._planned += 1
            self._under_way[job.number] = job
            self._texts.update((planned.hashes[text], AwaitedText(job.underway, text)) for text in tokenized.fit)
            if tokenized.fit:
                self._to_encode.append(job)
            else:
                self._to_store.append((job, nothing_encoded(tokenized, self._dim)))
            self._change.notify_all()

    # --- the model ---------------------------------------------------------------------------------------------------

    def _feed(self) -> Iterator[TokenizedBlock]:
        while (job := self._next()) is not None:
            yield TokenizedBlock(job.number, job.texts)

    def _next(self) -> _Job | None:
        with self._change:
            while not (self._error or self._interrupt.requested):
                if self._to_encode:
                    return self._to_encode.popleft()
                if self._all_read:
                    return None
                self._change.wait(_POLL_S)
            waited = not (self._to_encode or self._planning or self._all_read or self._error)
        # Ctrl-C while the source has no row for the moment: the rows that it gave are done first.
        rest = self._blocks.cut() if waited else None
        if rest is None or not self._admitted(_keys(rest), last=True):
            return None
        self._begin(rest)
        with self._change:
            return self._to_encode.popleft() if self._to_encode else None

    def _encoded(self, done: EncodedBlock) -> None:
        with self._change:
            job = self._under_way[done.number]
        if isinstance(done.texts, SignatureError | WorkerError):
            raise explained(done.texts, job.planned) from done.texts
        with self._change:
            job.underway.encoded = done.texts
            self._to_store.append((job, done.texts))
            self._change.notify_all()
            while sum(waiting.is_ready for waiting, _ in self._to_store) > 1 and not self._store_failed:
                self._change.wait(_POLL_S)

    # --- the store ---------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            while (item := self._next_encoded()) is not None:
                job, encoded = item
                self._store(job.planned, encoded)
                with self._change:
                    del self._under_way[job.number]
                    for text in job.texts.fit:
                        del self._texts[job.planned.hashes[text]]
                    self._change.notify_all()
        except BaseException as error:
            self._fail(error, at_once=True)

    def _next_encoded(self) -> tuple[_Job, EncodedTexts] | None:
        with self._change:
            while not self._store_failed:
                for item in self._to_store:
                    if item[0].is_ready:
                        self._to_store.remove(item)
                        self._change.notify_all()
                        return item
                if self._all_encoded and self._all_planned:
                    return None  # what is left waits for texts that are not encoded any more
                self._change.wait(_POLL_S)
        return None

    @property
    def _all_planned(self) -> bool:
        return self._all_read or self._error is not None or self._interrupt.requested

    def _fail(self, error: BaseException, *, at_once: bool = False) -> None:
        """The first error counts; `at_once`: nothing more is to be stored."""
        with self._change:
            self._error = self._error or error
            self._store_failed = self._store_failed or at_once
            self._change.notify_all()


def _keys(block: Block) -> frozenset[str]:
    return frozenset(example.key for example in block.examples)
