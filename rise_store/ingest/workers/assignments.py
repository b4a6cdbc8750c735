"""Who does which block: blocks are handed to workers that are free, and again to others when that comes to nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from rise_store.errors import SignatureError, WorkerError
from rise_store.ingest.encoding import EncodedBlock, TokenizedBlock
from rise_store.ingest.texts import EncodedTexts
from rise_store.ingest.workers.process import WorkerProcess
from rise_store.ingest.workers.worker import Dropped, Texts

BLOCKS_AT_ONCE = 2  # of a worker: one for the model, one whose texts are tokenized meanwhile
DEATHS_OF_A_BLOCK = 2  # workers that one block may end

Result = EncodedTexts | SignatureError | WorkerError


@dataclass
class _Task:
    """A block on its way."""

    block: TokenizedBlock
    deaths: list[str] = field(default_factory=list)  # how the workers that it ended did


class Assignments:
    """The blocks that are on their way, and those that are done (`results`)."""

    def __init__(self) -> None:
        self.results: deque[EncodedBlock] = deque()
        self._tasks: dict[int, _Task] = {}
        self._queue: deque[int] = deque()  # numbers of blocks that nobody does
        self._tickets = count()

    def __bool__(self) -> bool:
        """Whether blocks are on their way."""
        return bool(self._tasks)

    def add(self, block: TokenizedBlock) -> None:
        """A new block."""
        self._tasks[block.number] = _Task(block)
        self._queue.append(block.number)

    def finish(self, worker: WorkerProcess, ticket: int, result: Result, workers: Sequence[WorkerProcess]) -> None:
        """A worker has given back what this ticket was for; a block that another one gave before is left out."""
        number = worker.given.pop(ticket, None)
        if number in self._tasks:
            self._close(number, result, workers)

    def lose(self, dead: WorkerProcess, how: str, workers: Sequence[WorkerProcess], patience_s: float) -> None:
        """A worker has died: `workers` are to do its blocks, but for one that was the end of several."""
        for number in reversed(list(dead.given.values())):
            if not self._is_held(number, workers, patience_s):
                self._queue.appendleft(number)
        if not dead.given:
            return
        guilty = next(iter(dead.given.values()))  # they are done in order
        deaths = self._tasks[guilty].deaths
        deaths.append(how)
        if len(deaths) == DEATHS_OF_A_BLOCK:
            reason = (
                f"{len(deaths)} worker processes ended while they worked on them, the last one {how}. The blocks that "
                "were stored are kept: leave these rows out, or make room, and run the same command again"
            )
            self._close(guilty, WorkerError(reason), workers)

    def hand_out(self, workers: Sequence[WorkerProcess], patience_s: float) -> None:
        """Give blocks to the workers that are free; those of workers that are silent for so long go to others too."""
        silent = [worker for worker in workers if worker.is_silent(patience_s)]
        for number in [number for worker in silent for number in worker.given.values()]:
            if not self._is_held(number, workers, patience_s):
                self._queue.appendleft(number)
        free = [worker for worker in workers if worker.ready and worker not in silent]
        while self._queue and free:
            worker = min(free, key=lambda worker: len(worker.given))
            if len(worker.given) >= BLOCKS_AT_ONCE:
                return
            self._give(worker, self._queue.popleft())
        for idle in free:
            for busy in free:
                if not idle.given and len(busy.given) == BLOCKS_AT_ONCE:
                    ticket, number = busy.given.popitem()  # not begun
                    busy.send(Dropped(ticket))
                    self._give(idle, number)

    def clear(self, workers: Sequence[WorkerProcess]) -> None:
        """Forget everything, the workers included."""
        for worker in workers:
            for ticket in worker.given:
                worker.send(Dropped(ticket))
            worker.given.clear()
        self._tasks.clear()
        self._queue.clear()
        self.results.clear()

    def _close(self, number: int, result: Result, workers: Sequence[WorkerProcess]) -> None:
        del self._tasks[number]
        self.results.append(EncodedBlock(number, result))
        if number in self._queue:
            self._queue.remove(number)
        for worker in workers:
            for ticket in [ticket for ticket, given in worker.given.items() if given == number]:
                del worker.given[ticket]
                worker.send(Dropped(ticket))

    def _is_held(self, number: int, workers: Sequence[WorkerProcess], patience_s: float) -> bool:
        return number in self._queue or any(
            number in worker.given.values() and not worker.is_silent(patience_s) for worker in workers
        )

    def _give(self, worker: WorkerProcess, number: int) -> None:
        if not worker.given:
            worker.heard = time.monotonic()
        ticket = next(self._tickets)
        worker.given[ticket] = number
        worker.send(Texts(ticket, self._tasks[number].block.texts))
