"""A watch: look at files, read what is new, store it in small blocks, and so on until it is stopped."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from rise_store.errors import InputError, StoreFullError, StoreUnreachableError, UnreadableError
from rise_store.ingest.blocks import CHARACTERS_PER_TOKEN
from rise_store.ingest.patience import Patience
from rise_store.ingest.schedule import BLOCK_BATCHES
from rise_store.ingest.watch.arrivals import Arrivals
from rise_store.ingest.watch.followed import Arrived, Followed
from rise_store.ingest.watch.growing import FollowedLines
from rise_store.ingest.watch.health import Health
from rise_store.ingest.watch.metrics import Metrics
from rise_store.ingest.watch.registry import Registry
from rise_store.ingest.watch.standard_input import FollowedInput
from rise_store.ingest.watch.storing import Storing
from rise_store.ingest.watch.targets import Target
from rise_store.records import Example, Receipt

SLICE_S = 0.1  # that a signal may wait for
FULL_LOOK_S = 30.0  # between looks at everything where the system tells of changes: it may miss some
ADDRESS_LOOK_S = 5.0  # between looks at what only can be polled
FALLBACK_LOOK_S = 1.0  # between looks where the system cannot tell
REST_S = 30.0  # without news, after which the store is tidied
TIDY_ROWS = 1_000  # new rows that make that worth while
MOST_OPEN = 100  # files with rows in one block
BLOCK_S = 2.0  # that a block may take: so long may a row, or the end of the watch, wait for the block before it
LEAST_CHARACTERS = 500  # of a block, however slow the model
MOST_TOLD = 1_000  # troubles that are not told again; beyond, the oldest may be

Told = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How a watch goes about it."""

    max_delay: float = 1.0  # seconds that a row waits for others to share its block
    batch: int = 256  # rows in a block at most
    poll: float | None = None  # seconds between looks; None: be told by the system
    once: bool = False  # end when nothing is left to be read


@dataclass
class Surroundings:
    """What a watch tells others."""

    health: Health
    tell: Told  # one line for people: troubles
    metrics: Metrics | None = None
    stored: Callable[[Receipt], None] = field(default=lambda receipt: None)


class Watch:
    """One session over some targets; see `rise_store.ingestion` for what surrounds it."""

    def __init__(
        self,
        targets: list[Target],
        registry: Registry,
        standard_input: FollowedInput | None,
        arrivals: Arrivals,
        storing: Storing,
        tidy: Callable[[], None],
        pace: Pace,
        stop: Callable[[], bool],
        around: Surroundings,
        *,
        batch_tokens: int,
    ) -> None:
        self._targets = targets
        self._registry = registry
        self._input = standard_input
        self._arrivals = arrivals
        self._storing = storing
        self._tidy = tidy
        self._pace = pace
        self._stop = stop
        self._around = around
        self._limit = batch_tokens * BLOCK_BATCHES * CHARACTERS_PER_TOKEN
        self._most_characters = batch_tokens * CHARACTERS_PER_TOKEN  # of a block; learnt from how long blocks take
        self._characters = 0  # of the rows that wait
        self._open: set[int] = set()  # files with rows that wait
        self._waiting: deque[Arrived] = deque()
        self._due: dict[str, float] = {}
        self._stored_at = time.monotonic()
        self._untidy = 0
        self._filled_by: Followed | None = None  # the last block: it is the turn of the others
        self._noted = 0.0
        self._told: dict[str, None] = {}  # in the order in which they came

    def run(self) -> None:
        """Go on until it is stopped, standard input ends, or, with `once`, nothing is left."""
        if self._pace.poll is None:
            self._arrivals.start(folder for target in self._targets for folder in target.folders())
        try:
            while True:
                stopping = self._stop()
                if stopping:
                    self._drop()
                else:
                    self._look()
                    self._read()
                self._note()
                ended = stopping or self._is_done()
                now = time.monotonic()
                if self._waiting and (ended or self._is_full() or now >= self._waiting[0].at + self._pace.max_delay):
                    self._store()
                elif ended:
                    if self._input is not None and self._input.failure is not None:
                        raise self._input.failure
                    return
                else:
                    self._rest(now)
        finally:
            self._arrivals.stop()
            self._registry.close()

    def _look(self) -> None:
        hints = self._arrivals.take()
        everything = False
        for name, at in hints.items():
            if not everything and not self._registry.glance(name, at):
                everything = True
        if self._arrivals.failure is not None:
            self._trouble(f"the system does not tell of changes ({self._arrivals.failure}): looking every second")
        now = time.monotonic()
        for target in self._targets:
            polled = target.is_polled
            if now < self._due.get(target.source, 0.0) and (polled or not everything):
                continue
            try:
                self._registry.look(target, hints)
            except Exception as error:  # whatever a file system of fsspec raises
                self._trouble(f"{target.source}: cannot be looked at: {' '.join(str(error).split())[:300]}")
            took = time.monotonic() - now
            self._due[target.source] = time.monotonic() + max(self._look_every(polled), 4 * took)
        for source in self._registry.missing:
            self._trouble(f"{source}: is not there at the moment; it is looked at again and again")
        present = tuple(self._present())
        self._told = {message: None for message in self._told if not message.startswith(present)}
        self._move()

    def _present(self) -> list[str]:
        return [f"{t.source}: is not there" for t in self._targets if t.source not in self._registry.missing] + ["\0"]

    def _move(self) -> None:
        self._registry.bury()
        if self._registry.moved:
            moved, self._registry.moved = self._registry.moved, []
            self._storing.move(moved)

    def _look_every(self, polled: bool) -> float:
        if self._pace.poll is not None:
            return self._pace.poll
        if polled:
            return ADDRESS_LOOK_S
        return FULL_LOOK_S if self._arrivals.failure is None else FALLBACK_LOOK_S

    def _read(self) -> None:
        """Read rows until a block is full or no file has one."""
        now = time.monotonic()
        done: list[Followed] = []
        for file in self._active():
            if file.ready_in(now) != 0.0:
                continue
            while not self._is_full():
                try:
                    row = file.next_row()
                except (InputError, OSError) as error:
                    self._unreadable(file, error)
                    row = None
                else:
                    file.error = None
                if row is None:
                    done.append(file)
                    break
                self._wait(row)
            if self._is_full():
                self._filled_by = file
                self._registry.defer(file)
                break
        self._storing.remember(file for file in done if file.pending == 0)
        for file in done:
            self._registry.settle(file)

    def _drop(self) -> None:
        """Leave the rows that wait to the next session, but those that cannot be read again: a block of them."""
        kept = [row for row in self._waiting if row.file is self._input]
        self._set_waiting(kept)
        if self._input is None:
            return
        self._input.stop()
        with suppress(InputError):  # is raised at the end
            while not self._is_full() and (row := self._input.next_row()) is not None:
                self._wait(row)

    def _set_waiting(self, rows: Iterable[Arrived]) -> None:
        self._waiting = deque()
        self._characters = 0
        self._open.clear()
        for row in rows:
            self._wait(row)

    def _wait(self, row: Arrived) -> None:
        self._waiting.append(row)
        self._characters += len(row.row.content) if isinstance(row.row, Example) else 0
        if isinstance(row.file, FollowedLines):
            self._open.add(id(row.file))

    def _unreadable(self, file: Followed, error: Exception) -> None:
        if file is self._input and not self._targets:
            return  # it ends the watch, which says so
        if isinstance(error, OSError | UnreadableError):
            file.try_again()
        if isinstance(error, FileNotFoundError):
            return  # it is gone: the next look will say so
        reason = f"{file.name}: cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        file.error = reason
        self._trouble(reason)

    def _is_full(self) -> bool:
        return (
            len(self._waiting) >= self._pace.batch
            or self._characters >= self._most_characters
            or len(self._open) >= MOST_OPEN
        )

    def _store(self) -> None:
        """Store the rows that wait, up to one whose key is there already: a later row replaces an earlier one."""
        rows: list[Arrived] = []
        keys: set[str] = set()
        while self._waiting:
            row = self._waiting[0].row
            if isinstance(row, Example):
                if row.key in keys:
                    break
                keys.add(row.key)
            rows.append(self._waiting.popleft())
        was_full, characters = self._is_full(), self._characters
        self._set_waiting(self._waiting)
        began = time.monotonic()
        done = self._storing.store(tuple(rows))
        self._learn(characters - self._characters, time.monotonic() - began, was_full=was_full)
        self._around.health.is_now("watching")
        lags = self._around.health.stored(done, self._storing.counts)
        if self._around.metrics is not None:
            self._around.metrics.stored(done, lags)
        self._stored_at = time.monotonic()
        self._untidy += done.receipt.counts.new + done.receipt.counts.replaced
        self._note()
        self._around.stored(done.receipt)

    def _learn(self, characters: int, seconds: float, *, was_full: bool) -> None:
        fitting = characters * BLOCK_S / max(seconds, 1e-6)
        if seconds > BLOCK_S:
            self._most_characters = int(max(LEAST_CHARACTERS, fitting))
        elif was_full:
            self._most_characters = int(min(self._limit, max(self._most_characters, fitting)))

    def _rest(self, now: float) -> None:
        """Wait until something is due."""
        if self._untidy >= TIDY_ROWS and now - self._stored_at > REST_S and not self._waiting:
            self._tidy()
            self._untidy = 0
        until = [SLICE_S, *(due - now for due in self._due.values())]
        until += [ready for file in self._active() if (ready := file.ready_in(now)) is not None]
        if self._waiting:
            until.append(self._waiting[0].at + self._pace.max_delay - now)
        self._arrivals.event.wait(max(0.0, min(until)))

    def _is_done(self) -> bool:
        """Whether nothing more will come."""
        if self._input is not None and not self._input.ended:
            return False
        if self._targets and not self._pace.once:
            return False
        return not self._registry.active

    def _active(self) -> list[Followed]:
        files: list[Followed] = list(self._registry.active.values())
        if self._input is None:
            return files
        return [*files, self._input] if self._filled_by is self._input else [self._input, *files]

    def _note(self) -> None:
        now = time.monotonic()
        if now < self._noted:
            return
        behind = [file for file in self._active() if file.ready_in(now) is not None]
        oldest = [at for file in behind if (at := file.oldest()) is not None]
        if self._waiting:
            oldest.append(self._waiting[0].at)
        self._around.health.waits(
            oldest=min(oldest, default=None),
            rows=len(self._waiting),
            bytes=sum(file.unread for file in {row.file for row in self._waiting}.union(behind)),
            files=len(behind),
            watched=len(self._registry.files),
        )
        self._noted = time.monotonic() + 4 * (time.monotonic() - now)  # with ten thousand files it takes its time

    def _trouble(self, message: str) -> None:
        if message not in self._told:
            self._told[message] = None
            if len(self._told) > MOST_TOLD:
                del self._told[next(iter(self._told))]
            self._around.health.failed(message)
            self._around.tell(message)


def patience(stop: Callable[[], bool], health: Health, tell: Told) -> Patience:
    """Waits as long as it takes for a store that cannot be reached, or whose disk is full."""

    is_out = False

    def notify(message: str) -> None:  # in turn of an outage and of its end
        nonlocal is_out
        is_out = not is_out
        health.is_now("waiting" if is_out else "watching")
        if is_out:
            health.failed(message)
        tell(message)

    return Patience(math.inf, notify=notify, stop=stop, outages=(StoreUnreachableError, StoreFullError))
