"""The local schedule of a run: its blocks, one conveyor, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from rise_store.corpus import RejectedRow
from rise_store.errors import InputError, Interrupted, StoreError, StoreUnreachableError
from rise_store.ingest.block import Block, RunContext
from rise_store.ingest.blocks import Blocks, Row
from rise_store.ingest.conveyor import Conveyor
from rise_store.ingest.dead_letters import DeadLetters
from rise_store.ingest.encoding import Encoding
from rise_store.ingest.interrupt import Interrupt, interruptible
from rise_store.ingest.patience import PATIENCE_S, Notify, Patience
from rise_store.ingest.plan import AwaitedText, PlannedBlock, plan_block, rejected_reasons
from rise_store.ingest.ray.cluster import RayCluster
from rise_store.ingest.runs.ledger import RunLedger
from rise_store.ingest.runs.report import make_report
from rise_store.ingest.texts import EncodedTexts, PreparedTexts
from rise_store.ingest.write import store_block
from rise_store.records import IngestReport, IngestTotals, Receipt
from rise_store.store import Collection

# Model batches in a block. Chunks are sorted by length within a block: with batches of 2,048 tokens, padding was 10.8 %
# in blocks of 8 batches, 4.7 % of 24, 2.7 % of 48 and 1.6 % of 75. A kill costs the block that the model has.
BLOCK_BATCHES = 48

Progress = Callable[[IngestTotals, int], None]  # totals of the blocks so far; tokens encoded in all


def ingest_examples(
    source: Iterable[Row],
    run: RunContext,
    encoding: Encoding | RayCluster,
    collection: Collection,
    ledger: RunLedger,
    *,
    max_rejects: int | None = 0,
    dead_letters: DeadLetters | None = None,
    progress: Progress | None = None,
    patience_s: float = PATIENCE_S,
    notify: Notify | None = None,
) -> IngestReport:
    """Ingest examples block by block and say what became of them.

    Args:
        source: examples, and rows that a reader could not use; read lazily, in a thread of its own.
        run: what the blocks of the run share.
        encoding: the models at work here, or machines that also store; of the collection's space.
        collection: where they go.
        ledger: of the run; rows that it has receipts for are passed over.
        max_rejects: rejected rows beyond which the run stops; None for no limit. Rows that are merely too short
            count in the report and never stop a run.
        dead_letters: takes the rows that were not stored.
        progress: is told of every batch and block, by one thread at a time.
        patience_s: seconds that the run waits for a store that cannot be reached, each time that it goes away.
        notify: is told in a line when the store goes away, and when it is back.

    Raises:
        InputError: more rows were rejected than allowed; the rows before are stored, and a repeated run skips them.
        Interrupted: Ctrl-C or SIGTERM; what the model had was stored first. A second one stops at once.
        StoreError: the store failed, or stayed away for too long; what was acknowledged is kept.
    """
    with interruptible() as interrupt:
        patience = Patience(patience_s, notify=notify, stop=lambda: interrupt.requested)
        job = _Ingestion(source, run, encoding, collection, ledger, max_rejects, dead_letters, progress, interrupt)
        try:
            job.work(patience)
        except KeyboardInterrupt:
            if interrupt.insisted:
                raise
            with suppress(StoreError):
                ledger.stop(f"stopped by {interrupt.by}")
            raise job.interrupted(interrupt.by) from None
        except StoreUnreachableError:  # where a note could not be left either
            if interrupt.requested:
                raise job.interrupted(f"{interrupt.by} while the store was away") from None
            raise
        except Exception as error:
            with suppress(StoreError):
                ledger.fail(str(error))
            raise
        return job.close(patience)


class _Ingestion:
    """The state of `ingest_examples`."""

    def __init__(
        self,
        source: Iterable[Row],
        run: RunContext,
        encoding: Encoding | RayCluster,
        collection: Collection,
        ledger: RunLedger,
        max_rejects: int | None,
        dead_letters: DeadLetters | None,
        progress: Progress | None,
        interrupt: Interrupt,
    ) -> None:
        self._started = time.monotonic()
        self._source = source
        self._run = run
        self._encoding = encoding
        self._collection = collection
        self._ledger = ledger
        self._max_rejects = max_rejects
        self._dead_letters = dead_letters
        self._progress = progress
        self._interrupt = interrupt
        self._blocks = Blocks(
            source,
            ledger,
            block_tokens=encoding.batch_tokens * BLOCK_BATCHES,
            dim=encoding.dim,
            max_rejects=max_rejects,
            stop=lambda: interrupt.requested or self._one_too_many is not None,
        )
        self._telling = threading.Lock()
        self._counting = threading.Lock()  # of its own: a progress callback may wait for the thread that reads
        self._tokens = 0
        self._rejected = ledger.counts.rejected
        self._counted: dict[int, int] = {}  # rejected rows of each block that is under way, as far as they are known
        self._one_too_many: str | None = None
        self._waited = 0.0

    def work(self, patience: Patience) -> None:
        encoding = self._encoding
        if isinstance(encoding, RayCluster):
            for receipt in encoding.run(self._counted_blocks(), self._run, patience.seconds):
                self._keep(receipt, patience)
                self._tell(receipt.counts.tokens)
        else:
            self._convey(encoding, patience)
        self._waited = encoding.waited
        if self._blocks.failure is not None:
            raise self._blocks.failure
        if self._one_too_many is not None:
            raise InputError(self._explanation(self._one_too_many))
        if self._interrupt.requested:
            raise KeyboardInterrupt

    def _counted_blocks(self) -> Iterator[Block]:
        """The blocks; rows that the reader rejected count before the next block is read."""
        for block in self._blocks:
            reasons = [row.reason for row in block.rows if isinstance(row, RejectedRow)]
            self._counted[block.first] = len(reasons)
            self._count(reasons)
            yield block

    def _convey(self, encoding: Encoding, patience: Patience) -> None:
        def plan(block: Block, texts: Mapping[str, AwaitedText]) -> tuple[PlannedBlock, PreparedTexts]:
            planned = patience(lambda: plan_block(block, self._run, self._collection, texts))
            prepared = encoding.prepare(planned.texts)
            reasons = rejected_reasons(planned, prepared)
            self._counted[block.first] = len(reasons)
            self._count(reasons)
            return planned, prepared

        def store(planned: PlannedBlock, encoded: EncodedTexts) -> None:
            self._keep(patience(lambda: store_block(planned, encoded, self._run, self._collection)), patience)

        Conveyor(self._blocks, plan, store, encoding.dim, self._interrupt).run(encoding, self._tell)

    def _keep(self, receipt: Receipt, patience: Patience) -> None:
        """What follows once the store has acknowledged a block."""
        if self._dead_letters is not None:
            self._dead_letters.write(receipt.rejects)
        patience(lambda: self._ledger.record(receipt))
        reasons = [reject.reason for reject in receipt.rejects if reject.kind == "rejected"]
        self._count(reasons[self._counted.pop(receipt.first, 0) :])  # those that were not known before
        self._tell(0)

    def interrupted(self, by: str) -> Interrupted:
        done = self._ledger.counts.new + self._ledger.counts.replaced
        return Interrupted(f"stopped by {by}; {done} examples are stored: run the same command to go on")

    def close(self, patience: Patience) -> IngestReport:
        closed = patience(lambda: self._ledger.close(self._collection, self._blocks.rows))
        return make_report(
            self._run,
            self._ledger,
            closed,
            space=self._collection.space.fingerprint,
            stored=patience(self._collection.count),
            duplicates=getattr(self._source, "duplicates", 0),
            seconds=time.monotonic() - self._started,
            encoded_tokens=self._tokens,
            model_waited=self._waited,
            dead_letters=self._dead_letters,
        )

    def _tell(self, tokens: int) -> None:
        with self._telling:
            self._tokens += tokens
            if self._progress is not None:
                self._progress(self._ledger.counts, self._tokens)

    def _count(self, reasons: list[str]) -> None:
        with self._counting:
            before = self._rejected
            self._rejected += len(reasons)
            if self._max_rejects is not None and self._rejected > self._max_rejects and self._one_too_many is None:
                self._one_too_many = reasons[self._max_rejects - before]

    def _explanation(self, reason: str) -> str:
        rejected = self._ledger.counts.rejected
        allowed = self._max_rejects
        allowance = "" if allowed == 0 else f" ({rejected} rows rejected, {allowed} allowed)"
        file = self._dead_letters
        where = f"; rejected rows are in {file.path}" if file is not None and file.written else ""
        return (
            f"{reason}{allowance}; the good rows before it are stored: mend the row and run the same command again, "
            f"or let bad rows pass with --max-rejects{where}"
        )
