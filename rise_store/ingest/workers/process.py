"""One worker process as its parent sees it."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

from rise_store.ingest.workers.remote import EncoderRecipe
from rise_store.ingest.workers.worker import FromWorker, ToWorker, work

Hear = Callable[["WorkerProcess", FromWorker | None], None]


class WorkerProcess:
    """A process with a model, and what it was given to do.

    It dies with its parent, and takes no notice of Ctrl-C. Two threads write to it and read from it, because a process
    that was stopped in the middle of a message would keep whoever waits for the rest.
    """

    def __init__(self, recipe: EncoderRecipe, device: str, threads: int | None, hear: Hear) -> None:
        """Start it; `hear` is called in a thread with what it says, and with None when it has ended."""
        self.device = device
        self.ready = False  # whether its model is loaded
        self.given: dict[int, int] = {}  # tickets, in order, and the numbers of their blocks; but those given back
        self.reason: str | None = None  # why it says that it ends
        self.heard = time.monotonic()  # when it last said anything, or was given a block while it had none
        context = multiprocessing.get_context("spawn")  # a model's threads and CUDA do not survive a fork
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=work, args=(theirs, recipe, device, threads), name=f"rise-store worker on {device}", daemon=True
        )
        with _no_interrupt():
            self._process.start()
        theirs.close()
        self.pid = self._process.pid
        self._outbox: SimpleQueue[ToWorker | None] = SimpleQueue()
        self._threads = [Thread(target=self._write, daemon=True), Thread(target=self._read, args=(hear,), daemon=True)]
        for thread in self._threads:
            thread.start()

    def send(self, message: ToWorker) -> None:
        """Send a message without waiting for it to be read."""
        self._outbox.put(message)

    def is_silent(self, seconds: float) -> bool:
        """Whether it has work, and has said nothing for so long."""
        return bool(self.given) and time.monotonic() - self.heard > seconds

    def end(self) -> str:
        """End the process, if it has not ended, and say how it did."""
        self._process.kill()  # a process that was stopped does not hear anything else
        self._process.join()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join()
        code = self._process.exitcode or 0
        self._process.close()
        self._connection.close()
        if self.reason is not None:
            return self.reason
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was killed by {name}" + (", as when memory runs out" if name == "SIGKILL" else "")

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:  # it has ended
                return

    def _read(self, hear: Hear) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):  # it has ended
                break
            hear(self, message)
        hear(self, None)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Keep Ctrl-C from a process that is being started, which inherits what is blocked."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # it starts with the first process otherwise, and lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
