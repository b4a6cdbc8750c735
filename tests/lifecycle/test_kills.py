"""kill -9 in the middle of a verb, at a random moment: repeating it finishes what was begun."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from rise_store import AttributionStore
from rise_store.lifecycle import pages
from rise_store.store import open_store
from rise_store.store.embedded import reading
from rise_store.store.embedded.collection import EmbeddedCollection
from tests.lifecycle.material import contents, synthetic_collection

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")

ROWS = 700


def annotate(store: AttributionStore, folder: Path) -> None:
    store.annotate("dataset = synthetic", set={"license": "MIT", "metadata.reviewed": True})


def delete(store: AttributionStore, folder: Path) -> None:
    reading.PAGE_ROWS = 32
    store.delete(where="tokens < 600", yes=True)


def import_(store: AttributionStore, folder: Path) -> None:
    pages._PAGE_BYTES = 2**18  # 32 rows a page
    store.import_file(folder / "file.npz")


def run(verb: Callable[[AttributionStore, Path], None], folder: Path, told: Connection) -> None:
    """What the killed process does; tells of each page that it has written, and waits a little, for the kill."""
    for name in ("delete", "set_payload", "upsert"):
        setattr(EmbeddedCollection, name, telling(getattr(EmbeddedCollection, name), told))
    with AttributionStore.open(folder / "store") as store:
        verb(store, folder)
        told.send("done")


def received(here: Connection) -> list[str]:
    """What a process that has ended had still told."""
    messages = []
    with contextlib.suppress(EOFError):
        while True:
            messages.append(here.recv())
    return messages


def telling(write: Callable[..., None], told: Connection) -> Callable[..., None]:
    """A method of a collection that tells when it is done."""

    def wrapped(*arguments: Any) -> None:
        write(*arguments)
        told.send("page")
        time.sleep(0.03)

    return wrapped


@pytest.mark.parametrize("verb", [annotate, delete, import_])
def test_repeating_finishes(verb: Callable[[AttributionStore, Path], None], folder: Path) -> None:
    with open_store(folder / "whole", create=True) as backend:
        synthetic_collection(backend, ROWS, 2_048)
        AttributionStore(backend).export(folder / "file.npz")
        if verb is not import_:
            AttributionStore(backend).migrate_to(folder / "store")
            verb(AttributionStore(backend), folder)
        expected = contents(backend)
    chance = random.Random(11)
    context: Any = multiprocessing.get_context("forkserver")
    killed = 0
    for _ in range(3):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=run, args=(verb, folder, there))
        process.start()
        there.close()
        assert here.recv() in ("page", "done")
        time.sleep(chance.uniform(0, 0.1))
        with contextlib.suppress(ProcessLookupError):  # it was faster
            os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert process.exitcode in (0, -signal.SIGKILL)
        killed += process.exitcode == -signal.SIGKILL and "done" not in received(here)
    assert killed > 0
    with AttributionStore.open(folder / "store") as store:
        verb(store, folder)
    with open_store(folder / "store") as backend:
        assert contents(backend) == expected
