"""The local schedule: read examples, form blocks, store one block after the other."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from rise_store.corpus import RejectedRow
from rise_store.errors import InputError, Interrupted
from rise_store.ingest.block import Run, ingest_block
from rise_store.records import Example, IngestReport, Receipt
from rise_store.store import Collection

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

BLOCK_BATCHES = 8  # model batches in a block: what a crash or Ctrl-C may cost, and what length sorting works on
BLOCK_EXAMPLES = 1000  # examples in a block at most, so that blocks of stored examples stay small too
CHARACTERS_PER_TOKEN = 4  # of ordinary prose; only used to size blocks
MAX_REASONS = 100  # reasons for rejects that a report keeps

Progress = Callable[[Receipt, int], None]  # totals so far without the block in flight; tokens encoded in all


def ingest_examples(
    source: Iterable[Example | RejectedRow],
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
    total = Receipt()
    encoded = 0

    def on_batch(tokens: int) -> None:
        nonlocal encoded
        encoded += tokens
        if progress is not None:
            progress(total, encoded)

    with _deferred_interrupt() as interrupted:
        for block, failure in _blocks(source, encoder.batch_tokens * BLOCK_BATCHES):
            rejected = [row.reason for row in block if isinstance(row, RejectedRow)]
            examples = [row for row in block if isinstance(row, Example)]
            total += ingest_block(examples, run, encoder, collection, progress=on_batch)
            total += Receipt(rejects=tuple(rejected))
            if progress is not None:
                progress(total, encoded)
            if failure is not None:
                raise failure
            fatal = len(total.rejects) - total.too_short
            if max_rejects is not None and fatal > max_rejects:
                raise InputError(_too_many(total, fatal, max_rejects))
            if interrupted.is_set():
                done = total.new + total.replaced
                raise Interrupted(f"stopped by Ctrl-C; {done} examples are stored: run the same command to go on")
    seconds = time.monotonic() - started
    return IngestReport(
        run_id=run.id,
        dataset=run.dataset.name,
        space=collection.space.fingerprint,
        **total.model_dump(exclude={"rejects"}),
        duplicates=getattr(source, "duplicates", 0),
        rejected=len(total.rejects),
        seconds=round(seconds, 3),
        tokens_per_second=round(total.tokens / max(seconds, 1e-9), 1),
        stored=collection.count(),
        rejects=total.rejects[:MAX_REASONS],
    )


def _blocks(
    source: Iterable[Example | RejectedRow], block_tokens: int
) -> Iterator[tuple[list[Example | RejectedRow], InputError | None]]:
    """Blocks of about `block_tokens`; with the last one, why the source could not be read to its end."""
    block: list[Example | RejectedRow] = []
    keys: set[str] = set()
    characters = 0
    try:
        for row in source:
            if isinstance(row, Example):
                if row.key in keys:  # the keys of a block are distinct: a later row replaces an earlier one in order
                    yield block, None
                    block, characters = [], 0
                    keys.clear()
                keys.add(row.key)
            block.append(row)
            characters += len(row.content) if isinstance(row, Example) else 0
            full = characters >= block_tokens * CHARACTERS_PER_TOKEN or len(block) >= BLOCK_EXAMPLES
            if full or isinstance(row, RejectedRow):
                yield block, None
                block, characters = [], 0
                keys.clear()
    except InputError as error:
        yield block, error
        return
    if block:
        yield block, None


def _too_many(total: Receipt, fatal: int, max_rejects: int) -> str:
    last = total.rejects[-1]
    stored = total.new + total.replaced + total.updated + total.unchanged
    allowance = "" if max_rejects == 0 else f" ({fatal} rows rejected, {max_rejects} allowed)"
    return (
        f"{last}{allowance}; the {stored} rows before it are stored: mend the row and run the same command again, or "
        "let bad rows pass with --max-rejects"
    )


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Let Ctrl-C wait for the block in flight; a second one interrupts at once. Only the main thread gets signals."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def on_interrupt(signum: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
