"""Commands in processes of their own, for what a process is needed for: signals, limits, terminals, locks."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.conftest import Result


def run_main(
    arguments: tuple[str, ...], stdin: Path, out: Path, err: Path, started: Path, most_bytes: int | None
) -> None:
    """What the process does: `rise-store` with these arguments and streams; `started` is there when it begins."""
    for descriptor, path, flags in (
        (0, stdin, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT),
        (2, err, os.O_WRONLY | os.O_CREAT | os.O_NOCTTY),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        setattr(sys, name, os.fdopen(os.dup(descriptor), mode, encoding="utf-8"))
    if most_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    import torch

    from rise_store.cli import main

    torch.set_num_threads(1)  # threads that wait for each other make a busy machine slow
    sys.argv = ["rise-store", *arguments]
    started.touch()
    try:
        main()
    finally:
        sys.stdout.flush()
        if not sys.stderr.closed:
            sys.stderr.flush()


@dataclass
class CommandProcess:
    """A running `rise-store`; its working directory is the one of the test."""

    arguments: tuple[str, ...]
    out: Path
    err: Path
    started: Path
    stdin: Path = Path(os.devnull)
    most_bytes: int | None = None  # of a file it writes: beyond it, the disk is full
    process: multiprocessing.process.BaseProcess = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("forkserver")  # imports torch once for all commands
        context.set_forkserver_preload(
            ["rise_store.cli", "rise_store.signature", "transformers.models.llama.modeling_llama"]
        )
        self.process = context.Process(
            target=run_main, args=(self.arguments, self.stdin, self.out, self.err, self.started, self.most_bytes)
        )
        self.process.start()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        assert self.process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGINT)

    def end(self, seconds: float = 60) -> Result:
        """Wait until it ends; a process that is not done by then is killed and fails the test."""
        self.process.join(seconds)
        in_time = not self.process.is_alive()
        self.process.kill()
        self.process.join()
        assert in_time, f"still running after {seconds} s"
        code = self.process.exitcode
        assert code is not None
        return Result(code, self._read(self.out), self._read(self.err))

    @staticmethod
    def _read(path: Path) -> str:
        return path.read_text(encoding="utf-8") if path.is_file() else ""


def start_command(*arguments: object, **options: object) -> CommandProcess:
    """Start `rise-store` with arguments; what it prints goes to files in the working directory."""
    here = Path.cwd()
    number = time.monotonic_ns()
    streams = {"out": here / f"{number}.out", "err": here / f"{number}.err", "started": here / f"{number}.started"}
    return CommandProcess(tuple(map(str, arguments)), **{**streams, **options})  # type: ignore[arg-type]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@contextlib.contextmanager
def held(store: Path) -> Iterator[int]:
    """Another process has the store open meanwhile; its process id."""
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(store, there))
    process.start()
    try:
        assert here.recv() == "open"
        assert process.pid is not None
        yield process.pid
    finally:
        process.kill()
        process.join()


def _hold(store: Path, told: multiprocessing.connection.Connection) -> None:
    from rise_store.store import open_store

    with open_store(store, create=True):
        told.send("open")
        told.recv()
