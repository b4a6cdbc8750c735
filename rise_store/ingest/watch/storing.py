"""Rows that have arrived -> blocks -> the store, the ledger and the positions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rise_store.corpus import RejectedRow
from rise_store.errors import InputError, SignatureError, StoreFullError
from rise_store.ingest.block import Block, RunContext
from rise_store.ingest.dead_letters import DeadLetters
from rise_store.ingest.plan import PlannedBlock, explained, plan_block
from rise_store.ingest.runs.ledger import RunLedger
from rise_store.ingest.step import encode_planned
from rise_store.ingest.texts import EncodedTexts, Encoder
from rise_store.ingest.watch.followed import Arrived, Followed
from rise_store.ingest.watch.positions import Position, Positions
from rise_store.ingest.write import store_block
from rise_store.records import Example, IngestTotals, Receipt
from rise_store.store import Collection

T = TypeVar("T")
Persist = Callable[[Callable[[], Any]], Any]  # carries a call of the store out, however long that takes


@dataclass(frozen=True)
class Stored:
    """What became of a block."""

    receipt: Receipt
    rows: tuple[Arrived, ...]
    at: float  # by the monotonic clock, when the store had acknowledged it
    store_seconds: float


class Storing:
    """Stores one block after the other. Every call of the store may be repeated, and is made through `persist`."""

    def __init__(
        self,
        run: RunContext,
        encoder: Encoder,
        collection: Collection,
        ledger: RunLedger,
        positions: Positions,
        persist: Persist,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        self._run = run
        self._encoder = encoder
        self._collection = collection
        self._ledger = ledger
        self._positions = positions
        self._persist = persist
        self._dead_letters = dead_letters
        self._rows = 0  # of the run so far

    @property
    def counts(self) -> IngestTotals:
        """What became of these."""
        return self._ledger.counts

    @property
    def rows(self) -> int:
        """Rows of the run that have a receipt."""
        return self._rows

    def store(self, rows: tuple[Arrived, ...]) -> Stored:
        """Store rows whose keys are distinct, with their receipt; positions are for `remember`."""
        store_seconds = 0.0

        def timed(action: Callable[[], T]) -> T:
            nonlocal store_seconds
            started = time.monotonic()
            try:
                result: T = self._persist(action)
            finally:
                store_seconds += time.monotonic() - started
            return result

        block = Block(tuple(row.row for row in rows), self._rows + 1)
        while True:
            current = block
            planned: PlannedBlock = timed(lambda: plan_block(current, self._run, self._collection))  # noqa: B023
            try:
                encoded: EncodedTexts = encode_planned(planned, self._encoder)
                break
            except SignatureError as error:
                block = _without(block, planned, error)
        receipt: Receipt = timed(lambda: store_block(planned, encoded, self._run, self._collection))
        at = time.monotonic()
        if self._dead_letters is not None:
            self._persist(lambda: self._bury(receipt))
        timed(lambda: self._ledger.record(receipt))
        self._rows += len(rows)
        for row in rows:
            row.file.acknowledge(row)
        self.remember(row.file for row in rows)
        return Stored(receipt, rows, at, store_seconds)

    def _bury(self, receipt: Receipt) -> None:
        assert self._dead_letters is not None
        try:
            self._dead_letters.write(receipt.rejects)
        except InputError as error:  # such as a full disk, which the watch waits for
            raise StoreFullError(str(error)) from error

    def remember(self, files: Iterable[Followed]) -> None:
        """Write down how far files are acknowledged."""
        found: list[Position] = []
        for file in {id(file): file for file in files}.values():
            position = file.checkpoint()
            if position is not None:
                found.append(position)
            file.close()
        if found:
            self._persist(lambda: self._positions.put(found))

    def move(self, moved: list[tuple[Position, Position | None]]) -> None:
        """Write down the new names of files, and forget those that are gone."""
        new = [after for _, after in moved if after is not None]
        names = {position.name for position in new}
        gone = [before for before, _ in moved if before.name not in names]
        self._persist(lambda: self._positions.put(new))
        self._persist(lambda: self._positions.forget(gone))


def _without(block: Block, planned: PlannedBlock, error: SignatureError) -> Block:
    """The block with the rows of the text that has no finite signature rejected; raises where none is named."""
    named = explained(error, planned)
    texts = {error.text} - {None}
    content = planned.texts[error.text] if error.text is not None else None
    if not texts:
        raise error
    rows = tuple(
        RejectedRow(row.location, str(named), row.origin, row.model_dump(exclude_defaults=True))
        if isinstance(row, Example) and row.content == content
        else row
        for row in block.rows
    )
    return Block(rows, block.first)
