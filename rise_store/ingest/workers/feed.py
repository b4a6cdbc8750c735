"""Blocks for workers, taken from an iterator in a thread of its own, since it waits for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Semaphore, Thread

from rise_store.ingest.encoding import TokenizedBlock


class Feed:
    """Takes so many blocks ahead of those that are done."""

    def __init__(
        self,
        blocks: Iterator[TokenizedBlock],
        ahead: int,
        give: Callable[[Feed, TokenizedBlock | BaseException | None], None],
    ) -> None:
        """`give` is called in the thread, with a block, with None at the end, or with what `blocks` raised."""
        self.ended = False  # for whoever is given the end to note it
        self._blocks = blocks
        self._room = Semaphore(ahead)
        self._closed = False
        self._give = give
        Thread(target=self._run, daemon=True).start()

    def done(self) -> None:
        """A block is done: there is room for another."""
        self._room.release()

    def close(self) -> None:
        """Take no more blocks."""
        self._closed = True
        self._room.release()

    def _run(self) -> None:
        try:
            while True:
                self._room.acquire()
                if self._closed:
                    return
                block = next(self._blocks, None)
                self._give(self, block)
                if block is None:
                    return
        except BaseException as error:
            self._give(self, error)
