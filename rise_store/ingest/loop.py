"""The local schedule: read examples, form blocks, store one block after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from rise_store.corpus import RejectedRow
from rise_store.errors import InputError, Interrupted
from rise_store.ingest.block import Run, ingest_block
from rise_store.ingest.interrupt import Interrupt, interruptible
from rise_store.records import Example, IngestReport, IngestTotals, Receipt
from rise_store.store import Collection

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

BLOCK_BATCHES = 8  # model batches in a block: what a crash may cost, and what sorting by length works on
BLOCK_EXAMPLES = 1000  # examples in a block at most, so that blocks of stored examples stay small too
CHARACTERS_PER_TOKEN = 4  # of ordinary prose; only used to size blocks
MAX_REASONS = 100  # reasons for rejects that a report keeps

Row = Example | RejectedRow
Progress = Callable[[IngestTotals, int], None]  # totals of the blocks so far; tokens encoded in all


def ingest_examples(
    source: Iterable[Row],
    run: Run,
    encoder: SignatureEncoder,
    collection: Collection,
    *,
    max_rejects: int | None = 0,
    progress: Progress | None = None,
) -> IngestReport:
    """Ingest examples block by block and say what became of them.

    Args:
        source: examples, and rows that a reader could not use; read lazily.
        run: the dataset and the run's id.
        encoder: computes the signatures; of the collection's space.
        collection: where they go.
        max_rejects: rejected rows beyond which the run stops; None for no limit. Rows that are merely too short
            count in the report and never stop a run.
        progress: is told of every batch and block.

    Raises:
        InputError: more rows were rejected than allowed; the rows before are stored, and a repeated run skips them.
        Interrupted: Ctrl-C; the block in flight was stored first. A second Ctrl-C stops at once.
    """
    started = time.monotonic()
    totals = IngestTotals()
    reasons: list[str] = []
    encoded = 0

    def on_batch(tokens: int) -> None:
        nonlocal encoded
        encoded += tokens
        if progress is not None:
            progress(totals, encoded)

    with interruptible() as interrupt:
        try:
            for block, failure in _blocks(source, encoder.batch_tokens * BLOCK_BATCHES, max_rejects, interrupt):
                with interrupt.deferred():
                    examples = [row for row in block if isinstance(row, Example)]
                    receipt = ingest_block(examples, run, encoder, collection, progress=on_batch)
                    bad = [row.reason for row in block if isinstance(row, RejectedRow)] + list(receipt.rejects)
                    before, totals = totals, _added(totals, receipt, len(bad))
                    reasons += [*bad, *receipt.too_short][: MAX_REASONS - len(reasons)]
                    on_batch(0)
                if failure is not None:
                    raise failure
                if max_rejects is not None and totals.rejected > max_rejects:
                    first_too_many = bad[max_rejects - before.rejected]
                    raise InputError(_too_many(first_too_many, totals, max_rejects))
                if interrupt.requested:
                    raise KeyboardInterrupt
            if interrupt.requested:  # while the source was read, with nothing left to store
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            if interrupt.insisted:
                raise
            done = totals.new + totals.replaced
            raise Interrupted(f"stopped by Ctrl-C; {done} examples are stored: run the same command to go on") from None
    seconds = time.monotonic() - started
    return IngestReport(
        run_id=run.id,
        dataset=run.dataset.name,
        space=collection.space.fingerprint,
        new=totals.new,
        replaced=totals.replaced,
        updated=totals.updated,
        unchanged=totals.unchanged,
        duplicates=getattr(source, "duplicates", 0),
        rejected=totals.rejected + totals.too_short,
        too_short=totals.too_short,
        tokens=totals.tokens,
        seconds=round(seconds, 3),
        tokens_per_second=round(totals.tokens / max(seconds, 1e-9), 1),
        stored=collection.count(),
        rejects=tuple(reasons),
    )


def _blocks(
    source: Iterable[Row], block_tokens: int, max_rejects: int | None, interrupt: Interrupt
) -> Iterator[tuple[list[Row], InputError | None]]:
    """Blocks of about `block_tokens`; with the last one, why the source could not be read to its end.

    A block ends at once with the row that is one too many, and before a key that it has already: its keys are
    distinct, and a later row replaces an earlier one in order.
    """
    block: list[Row] = []
    keys: set[str] = set()
    characters = rejected = 0
    try:
        for row in source:
            if isinstance(row, Example) and row.key in keys:
                yield block, None
                block, keys, characters = [], set(), 0
            block.append(row)
            if isinstance(row, Example):
                keys.add(row.key)
                characters += len(row.content)
            else:
                rejected += 1
            too_many = max_rejects is not None and rejected > max_rejects
            if too_many or characters >= block_tokens * CHARACTERS_PER_TOKEN or len(block) >= BLOCK_EXAMPLES:
                yield block, None
                block, keys, characters = [], set(), 0
    except InputError as error:
        yield block, error
        return
    except KeyboardInterrupt:  # pressed while the source had no row for the moment: what it gave is stored first
        if interrupt.insisted or not interrupt.requested:
            raise
    if block:
        yield block, None


def _added(totals: IngestTotals, receipt: Receipt, rejected: int) -> IngestTotals:
    return IngestTotals(
        new=totals.new + receipt.new,
        replaced=totals.replaced + receipt.replaced,
        updated=totals.updated + receipt.updated,
        unchanged=totals.unchanged + receipt.unchanged,
        tokens=totals.tokens + receipt.tokens,
        too_short=totals.too_short + len(receipt.too_short),
        rejected=totals.rejected + rejected,
    )


def _too_many(reason: str, totals: IngestTotals, max_rejects: int) -> str:
    allowance = "" if max_rejects == 0 else f" ({totals.rejected} rows rejected, {max_rejects} allowed)"
    return (
        f"{reason}{allowance}; the good rows before it are stored: mend the row and run the same command again, or let "
        "bad rows pass with --max-rejects"
    )
