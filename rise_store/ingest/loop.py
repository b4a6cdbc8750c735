"""The local schedule: read examples, form blocks, store one block after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from rise_store.corpus import RejectedRow
from rise_store.errors import InputError, Interrupted, SignatureError
from rise_store.ingest.block import Block, RunContext, encode_planned, explained, plan_block, store_block
from rise_store.ingest.interrupt import Interrupt, interruptible
from rise_store.ingest.ledger import RunLedger
from rise_store.ingest.texts import Encoder
from rise_store.records import Example, IngestReport, IngestTotals
from rise_store.store import Collection

BLOCK_BATCHES = 8  # model batches in a block: what a crash may cost, and what sorting by length works on
BLOCK_EXAMPLES = 1000  # examples in a block at most, so that blocks of stored examples stay small too
CHARACTERS_PER_TOKEN = 4  # of ordinary prose; only used to size blocks

Row = Example | RejectedRow
Progress = Callable[[IngestTotals, int], None]  # totals of the blocks so far; tokens encoded in all


def ingest_examples(
    source: Iterable[Row],
    run: RunContext,
    encoder: Encoder,
    collection: Collection,
    ledger: RunLedger,
    *,
    max_rejects: int | None = 0,
    progress: Progress | None = None,
) -> IngestReport:
    """Ingest examples block by block and say what became of them.

    Args:
        source: examples, and rows that a reader could not use; read lazily.
        run: what the blocks of the run share.
        encoder: computes the signatures; of the collection's space.
        collection: where they go.
        ledger: of the run; rows that it has receipts for are passed over.
        max_rejects: rejected rows beyond which the run stops; None for no limit. Rows that are merely too short
            count in the report and never stop a run.
        progress: is told of every batch and block.

    Raises:
        InputError: more rows were rejected than allowed; the rows before are stored, and a repeated run skips them.
        Interrupted: Ctrl-C; the block in flight was stored first. A second Ctrl-C stops at once.
    """
    started = time.monotonic()
    encoded_tokens = 0

    def on_batch(tokens: int) -> None:
        nonlocal encoded_tokens
        encoded_tokens += tokens
        if progress is not None:
            progress(ledger.counts, encoded_tokens)

    blocks = Blocks(source, encoder.batch_tokens * BLOCK_BATCHES, max_rejects, ledger)
    with interruptible() as interrupt:
        try:
            for block in blocks.until(interrupt):
                with interrupt.deferred():
                    planned = plan_block(block, run, collection)
                    try:
                        encoded = encode_planned(planned, encoder, on_batch)
                    except SignatureError as error:
                        raise explained(error, planned) from error
                    receipt = store_block(planned, encoded, run, collection)
                    before = ledger.counts.rejected
                    ledger.record(receipt)
                    bad = [reject.reason for reject in receipt.rejects if reject.kind == "rejected"]
                    on_batch(0)
                if blocks.failure is not None:
                    raise blocks.failure
                if max_rejects is not None and ledger.counts.rejected > max_rejects:
                    raise InputError(_too_many(bad[max_rejects - before], ledger.counts, max_rejects))
                if interrupt.requested:
                    raise KeyboardInterrupt
            if blocks.failure is not None:
                raise blocks.failure
            if interrupt.requested:  # while the source was read, with nothing left to store
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            if interrupt.insisted:
                raise
            ledger.stop("stopped by Ctrl-C")
            done = ledger.counts.new + ledger.counts.replaced
            raise Interrupted(f"stopped by Ctrl-C; {done} examples are stored: run the same command to go on") from None
        except Exception as error:
            ledger.fail(str(error))
            raise
    closed = ledger.close(collection, blocks.rows)
    seconds = time.monotonic() - started
    totals = ledger.counts
    return IngestReport(
        run_id=run.id,
        state=closed.state,
        dataset=run.dataset.name,
        space=collection.space.fingerprint,
        new=totals.new,
        replaced=totals.replaced,
        shared=totals.shared,
        updated=totals.updated,
        unchanged=totals.unchanged,
        recovered=totals.recovered,
        refused=totals.refused,
        vanished=closed.vanished,
        resumed_rows=ledger.resumed_rows,
        duplicates=getattr(source, "duplicates", 0),
        rejected=totals.rejected + totals.too_short + totals.refused,
        too_short=totals.too_short,
        tokens=totals.tokens,
        seconds=round(seconds, 3),
        tokens_per_second=round(encoded_tokens / max(seconds, 1e-9), 1),
        stored=collection.count(),
        rejects=ledger.reasons,
        unknown_licenses=ledger.unknown_licenses,
        message=closed.message,
    )


class Blocks:
    """The rows of a source in blocks of about `block_tokens`, but those that the ledger has receipts for.

    A block ends at once with the row that is one too many, before a row that is done, and before a key that it has
    already: its keys are distinct, and a later row replaces an earlier one in order.
    """

    def __init__(self, source: Iterable[Row], block_tokens: int, max_rejects: int | None, ledger: RunLedger) -> None:
        self._source = source
        self._characters = block_tokens * CHARACTERS_PER_TOKEN
        self._max_rejects = max_rejects
        self._ledger = ledger
        self.rows = 0  # read so far
        self.failure: InputError | None = None  # why the source could not be read to its end

    def until(self, interrupt: Interrupt) -> Iterator[Block]:
        """The blocks; they end where the source does, or fails, or Ctrl-C comes while it has no row for the moment."""
        block: list[Row] = []
        keys: set[str] = set()
        characters = 0
        rejected = self._ledger.counts.rejected
        try:
            for row in self._source:
                self.rows += 1
                position = self.rows
                done = self._ledger.is_done(position)
                if block and (done or (isinstance(row, Example) and row.key in keys)):
                    yield Block(tuple(block), position - len(block))
                    block, keys, characters = [], set(), 0
                if done:
                    continue
                block.append(row)
                if isinstance(row, Example):
                    keys.add(row.key)
                    characters += len(row.content)
                else:
                    rejected += 1
                too_many = self._max_rejects is not None and rejected > self._max_rejects
                if too_many or characters >= self._characters or len(block) >= BLOCK_EXAMPLES:
                    yield Block(tuple(block), position - len(block) + 1)
                    block, keys, characters = [], set(), 0
        except InputError as error:
            self.failure = error
        except KeyboardInterrupt:  # pressed while the source had no row for the moment: what it gave is stored first
            if interrupt.insisted or not interrupt.requested:
                raise
        if block:
            yield Block(tuple(block), self.rows - len(block) + 1)


def _too_many(reason: str, totals: IngestTotals, max_rejects: int) -> str:
    allowance = "" if max_rejects == 0 else f" ({totals.rejected} rows rejected, {max_rejects} allowed)"
    return (
        f"{reason}{allowance}; the good rows before it are stored: mend the row and run the same command again, or let "
        "bad rows pass with --max-rejects"
    )
