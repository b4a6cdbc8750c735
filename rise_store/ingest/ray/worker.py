"""What runs on the machines of a Ray cluster."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from rise_store.errors import RiseStoreError, WorkerError
from rise_store.ingest.block import Block, RunContext
from rise_store.ingest.patience import Patience
from rise_store.ingest.step import ingest_block
from rise_store.ingest.workers.remote import EncoderRecipe, RemoteEncoder
from rise_store.records import Receipt
from rise_store.store import Tombstones, open_store

DEATHS_OF_A_BLOCK = 2  # workers that it may end


@dataclass(frozen=True)
class Work:
    """What the workers of a run share; may be sent to another machine."""

    recipe: EncoderRecipe
    threads: int | None  # of torch; None leaves it to torch
    location: str  # URL of the store
    fingerprint: str  # of the space
    run: RunContext  # without tombstones, which each worker reads for itself
    patience_s: float


def describe(recipe: EncoderRecipe) -> RemoteEncoder | RiseStoreError:
    """Load a model on some machine, and say whose signatures it makes, or why it cannot be loaded."""
    try:
        return RemoteEncoder.describing(recipe.load())
    except RiseStoreError as error:
        return error


class Attempts:
    """An actor that counts how often workers began with a block: Ray repeats one that ends them for ever."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, first: int) -> int:
        """How many workers have begun, this one included, with the block of this first row."""
        self._begun[first] += 1
        return self._begun[first]


class RayWorker:
    """An actor with a model and a connection to the store: takes blocks, gives receipts.

    A block may be repeated: whoever calls repeats one whose actor died. Errors of ours are given, not raised, because
    Ray would wrap them.
    """

    def __init__(self, work: Work, attempts: Any) -> None:
        self._work = work
        self._attempts = attempts
        self._failure: RiseStoreError | None = None
        try:
            self._open()
        except RiseStoreError as error:
            self._failure = error

    def _open(self) -> None:
        if self._work.threads is not None:
            import torch

            torch.set_num_threads(self._work.threads)
        self._encoder = self._work.recipe.load()
        self._backend = open_store(self._work.location)
        self._collection = self._backend.open_collection(self._work.fingerprint)
        self._encoder.require_space(self._collection.space)
        run = self._work.run
        self._run = replace(run, tombstones=Tombstones(self._backend.catalogue()))
        self._patience = Patience(self._work.patience_s)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Pickled `Block`s of the column `block` -> pickled `Receipt`s, or errors, in the column `result`."""
        return {"result": [pickle.dumps(self._ingest(pickle.loads(bytes(block)))) for block in batch["block"]]}

    def _ingest(self, block: Block) -> Receipt | RiseStoreError:
        if self._failure is not None:
            return self._failure
        import ray

        if ray.get(self._attempts.begin.remote(block.first)) > DEATHS_OF_A_BLOCK:
            places = [row.location or f"row {block.first + number}" for number, row in enumerate(block.rows)]
            return WorkerError(
                f"{places[0]} to {places[-1]}: {DEATHS_OF_A_BLOCK} workers on Ray ended while they worked on them. The "
                "blocks that were stored are kept: leave these rows out, or make room, and run the same command again"
            )
        try:
            return self._patience(lambda: ingest_block(block, self._run, self._encoder, self._collection))
        except RiseStoreError as error:
            return error
