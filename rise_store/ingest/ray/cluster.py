"""Many machines: the blocks of a run on a Ray cluster, whose workers plan, encode and store them.

Ray Data has the actors, gives them blocks, replaces those that die and repeats what they were doing. This process forms
the blocks and keeps the receipts, so a run is resumed here or anywhere else as any other run is.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Any

import numpy.typing as npt

from rise_store.errors import ConfigError, RiseStoreError, WorkerError
from rise_store.ingest.block import Block, RunContext
from rise_store.ingest.ray.worker import Attempts, RayWorker, Work, describe
from rise_store.ingest.workers.remote import EncoderRecipe, RemoteEncoder
from rise_store.records import EstimatorConfig, Receipt
from rise_store.store.location import is_server

BLOCKS_AT_ONCE = 3  # of a worker: one that it works on, others that lie ready
_POLL_S = 0.2


class RayCluster:
    """Workers on a Ray cluster, for the blocks of one run.

    A context manager: leaving it disconnects from the cluster, unless the program was connected before.
    """

    waited = 0.0  # nobody measures it here

    def __init__(self, address: str | None, location: str, *, workers: int | None = None) -> None:
        """Connect to a cluster.

        Args:
            address: of the cluster, as `ray.init` takes it; None for RAY_ADDRESS, else a cluster of this machine alone.
            location: of the store, which the workers open too.
            workers: how many; by default one for each GPU of the cluster, or for each core where it has none.

        Raises:
            ConfigError: the store is a folder; Ray is not installed, or cannot be reached.
        """
        if not is_server(location):
            raise ConfigError(
                f"{location} is a folder, which one process can hold: workers on Ray need a store on a server, such as "
                "--store https://host:6333; on one machine, use --workers instead of --ray"
            )
        self._location = location
        self._recipe: EncoderRecipe | None = None
        self._encoder: RemoteEncoder | None = None
        self._ray, self._own = _connect(address)
        resources = self._ray.cluster_resources()
        self._has_gpus = resources.get("GPU", 0) > 0
        self._workers = workers or int(resources.get("GPU", 0) or resources.get("CPU", 1))

    def load(
        self,
        model: str | Path,
        config: EstimatorConfig | None,
        *,
        tables: Mapping[str, npt.NDArray[Any]] | None = None,
        **options: Any,
    ) -> RemoteEncoder:
        """Load the model on a machine of the cluster, and say what it is; see `Encoders.load`.

        Raises:
            ModelError, ConfigError, SpaceMismatchError: it cannot be loaded.
            WorkerError: the cluster fails.
        """
        device = options.get("device") or "auto"
        self._gpus = int(self._has_gpus and device in ("auto", "cuda"))
        options["device"] = "cuda" if self._gpus else ("cpu" if device == "auto" else device)
        self._recipe = EncoderRecipe(model, config, tables, options)
        task = self._ray.remote(num_cpus=1, num_gpus=self._gpus, max_retries=1)(describe)
        try:
            answer = self._ray.get(task.remote(self._recipe))
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"the model cannot be loaded on the Ray cluster: {_first_line(error)}") from error
        if isinstance(answer, RiseStoreError):
            raise answer
        self._encoder = answer
        return self._encoder

    @property
    def encoder(self) -> RemoteEncoder:
        """What the workers load."""
        assert self._encoder is not None
        return self._encoder

    @property
    def batch_tokens(self) -> int:
        """Tokens that a model encodes at once."""
        return self.encoder.batch_tokens

    @property
    def dim(self) -> int:
        """Coordinates of a signature."""
        return self.encoder.dim

    def run(self, blocks: Iterator[Block], run: RunContext, patience_s: float) -> Iterator[Receipt]:
        """Ingest blocks, and give their receipts in any order, each once the store has acknowledged the block.

        Args:
            blocks: consumed in a thread of its own; two that have a key in common are not under way at once.
            run: what they share.
            patience_s: seconds that a worker waits for a store that cannot be reached.

        Raises:
            WorkerError: a block ended two workers, or the cluster failed.
            RiseStoreError: what a worker says.
        """
        assert self._recipe is not None
        import ray.data
        from ray.exceptions import RayError
        from ray.util.queue import Queue

        from rise_store.ingest.ray.source import BlockSource

        work = Work(
            recipe=self._recipe,
            threads=None if self._gpus else 1,
            location=self._location,
            fingerprint=self.encoder.fingerprint,
            run=replace(run, tombstones=None),
            patience_s=patience_s,
        )
        queue = Queue(actor_options={"num_cpus": 0})
        feed = _Feed(blocks, queue, self._workers * BLOCKS_AT_ONCE)
        attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote()
        results = iter(
            ray.data.read_datasource(BlockSource(queue), override_num_blocks=1, num_cpus=0)
            .map_batches(
                RayWorker,
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=self._workers),
                fn_constructor_args=(work, attempts),
                num_cpus=1,
                num_gpus=self._gpus or None,
            )
            .iter_rows()
        )
        try:
            for row in results:
                result: Receipt | RiseStoreError = pickle.loads(row["result"])
                if isinstance(result, RiseStoreError):
                    raise result
                feed.done(result.first)
                yield result
        except RayError as error:
            raise WorkerError(
                f"the Ray cluster failed: {_first_line(error)}. What was stored is kept: look into Ray's logs, and run "
                "the same command again"
            ) from error
        finally:
            feed.close()
            results.close()
            queue.shutdown(force=True)
        if feed.failure is not None:
            raise feed.failure

    def close(self) -> None:
        """Disconnect, unless the program was connected before."""
        if self._own:
            self._ray.shutdown()

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Feed:
    """Puts blocks into the queue that the cluster reads, so many ahead of the receipts."""

    def __init__(self, blocks: Iterator[Block], queue: Any, ahead: int) -> None:
        self.failure: BaseException | None = None
        self._blocks = blocks
        self._queue = queue
        self._ahead = ahead
        self._change = Condition()
        self._under_way: dict[int, Block] = {}
        self._closed = False
        Thread(target=self._run, name="rise-store-reader", daemon=True).start()

    def done(self, first: int) -> None:
        """There is a receipt for the block that begins with this row."""
        with self._change:
            self._under_way.pop(first, None)
            self._change.notify_all()

    def close(self) -> None:
        """Put no more blocks."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _run(self) -> None:
        try:
            for block in self._blocks:
                if not self._admitted(block):
                    break
                self._queue.put(pickle.dumps(block))
        except BaseException as error:
            self.failure = error
        if not self._closed:
            self._queue.put(None)

    def _admitted(self, block: Block) -> bool:
        keys = {example.key for example in block.examples}
        with self._change:
            while not self._closed:
                others = (example.key for other in self._under_way.values() for example in other.examples)
                if len(self._under_way) < self._ahead and keys.isdisjoint(others):
                    self._under_way[block.first] = block
                    return True
                self._change.wait(_POLL_S)
        return False


def _connect(address: str | None) -> tuple[Any, bool]:
    """Ray, connected, and whether that is our doing."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anyone
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError("workers on Ray need the package ray: pip install 'rise-store[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = context.target_min_block_size = 1  # each of our blocks travels by itself
    if ray.is_initialized():
        return ray, False
    local = {} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:  # ConnectionError, ValueError, RuntimeError, Ray's own ...
        raise ConfigError(
            f"the Ray cluster {address or 'of this machine'} cannot be reached: {_first_line(error)}"
        ) from error
    return ray, True


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
