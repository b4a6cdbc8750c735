"""Rows -> blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from rise_store.corpus import RejectedRow
from rise_store.ingest.block import Block
from rise_store.ingest.runs.ledger import RunLedger
from rise_store.records import Example

BLOCK_EXAMPLES = 1000  # examples in a block at most, so that blocks of stored examples stay small too
BLOCK_BYTES = 64 << 20  # of signatures that a block holds at most
CHARACTERS_PER_TOKEN = 4  # of ordinary prose; only used to size blocks

Row = Example | RejectedRow


class Blocks:
    """The rows of a source in blocks of about `block_tokens`, but those that the ledger has receipts for.

    A block ends at once with the row that is one too many, before a row that is done, and before a key that it has
    already: its keys are distinct, and a later row replaces an earlier one in order. An error of the source ends the
    blocks and is kept in `failure`, so that the rows before it are stored.

    One thread iterates; another one may `cut` meanwhile.
    """

    def __init__(
        self,
        source: Iterable[Row],
        ledger: RunLedger,
        *,
        block_tokens: int,
        dim: int,
        max_rejects: int | None,
        stop: Callable[[], bool],
    ) -> None:
        """`dim` is that of the signatures; the blocks end early, with no last one, when `stop` is true."""
        self._source = source
        self._ledger = ledger
        self._characters = block_tokens * CHARACTERS_PER_TOKEN
        self._examples = max(1, min(BLOCK_EXAMPLES, BLOCK_BYTES // (4 * dim)))
        self._max_rejects = max_rejects
        self._stop = stop
        self._lock = threading.Lock()
        self._cut = False
        self._begun: list[Row] = []
        self.rows = 0  # read so far
        self.failure: Exception | None = None  # why the source could not be read to its end

    def cut(self) -> Block | None:
        """The rows of the block that is begun, while the source has no row for the moment; no block comes any more."""
        with self._lock:
            self._cut = True
            return self._take()

    def __iter__(self) -> Iterator[Block]:
        keys: set[str] = set()
        characters = 0
        rejected = self._ledger.counts.rejected
        for row in self._read():
            with self._lock:
                if self._cut or self._stop():
                    return
                position = self.rows + 1
                done = self._ledger.is_done(position)
                ended = None
                if done or (isinstance(row, Example) and row.key in keys):
                    ended, keys, characters = self._take(), set(), 0
                self.rows = position
                if not done:
                    self._begun.append(row)
            if ended is not None:
                yield ended
                if self._stop():
                    return
            if done:
                continue
            if isinstance(row, Example):
                keys.add(row.key)
                characters += len(row.content)
            else:
                rejected += 1
            too_many = self._max_rejects is not None and rejected > self._max_rejects
            if too_many or characters >= self._characters or len(self._begun) >= self._examples:
                with self._lock:
                    full, keys, characters = self._take(), set(), 0
                if full is not None:
                    yield full
                if self._stop():  # before the source is asked for a row that it may not have yet
                    return
        with self._lock:
            last = None if self._cut else self._take()
        if last is not None:
            yield last

    def _read(self) -> Iterator[Row]:
        rows = iter(self._source)
        try:
            yield from rows
        except Exception as error:
            self.failure = error
        finally:
            close = getattr(rows, "close", None)  # files that a generator has open are closed in its own thread
            if close is not None:
                close()

    def _take(self) -> Block | None:
        rows, self._begun = self._begun, []
        return Block(tuple(rows), self.rows - len(rows) + 1) if rows else None
