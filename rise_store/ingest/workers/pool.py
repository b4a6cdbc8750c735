"""Many models at work on one machine: processes that take the next block whenever they are free.

The store belongs to this process, which plans and stores; the workers make signatures of texts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

import numpy.typing as npt

from rise_store.errors import SignatureError, SpaceMismatchError, WorkerError
from rise_store.ingest.encoding import EncodedBlock, TokenizedBlock
from rise_store.ingest.patience import Notify
from rise_store.ingest.texts import PlainTexts, TokenProgress
from rise_store.ingest.workers.assignments import BLOCKS_AT_ONCE, Assignments
from rise_store.ingest.workers.feed import Feed
from rise_store.ingest.workers.process import WorkerProcess
from rise_store.ingest.workers.remote import EncoderRecipe, RemoteEncoder
from rise_store.ingest.workers.worker import Begun, Done, Dying, Failed, FromWorker, Tokens
from rise_store.records import EstimatorConfig

PATIENCE_S = 30.0  # silence of a worker after which others do its blocks too
DEATHS_OF_A_PLACE = 3  # workers that may die one after the other without finishing a block
_TICK_S = 0.5  # how often silent workers are looked for


@dataclass
class _Place:
    """Where a worker is, and its successor when it has died."""

    device: str
    worker: WorkerProcess | None = None
    deaths: int = 0  # in a row
    began: float | None = None  # when its model began with its first block
    ended: float = 0.0  # when it finished its last
    busy: float = 0.0  # seconds between in which it worked


class WorkerPool:
    """Worker processes with one model each: an `Encoding`.

    A worker that dies is replaced, and its blocks go to others. So do those of a worker that is silent for long, and
    those that a worker has not begun when another one has nothing to do; the first result counts.
    A context manager: leaving it ends the processes.
    """

    def __init__(
        self,
        devices: Sequence[str],
        *,
        threads: int | None = None,
        patience_s: float = PATIENCE_S,
        notify: Notify = lambda line: None,
    ) -> None:
        """Workers that `load` starts.

        Args:
            devices: where each one's model goes: cpu, cuda:0 ...
            threads: of torch in each worker; None leaves it to torch.
            patience_s: seconds of silence after which others do the blocks of a worker too.
            notify: is told in a line when a worker has died.
        """
        self._notify = notify
        self.ahead = len(devices) * BLOCKS_AT_ONCE + 1
        self.patience_s = patience_s
        self._threads = threads
        self._events: SimpleQueue[tuple[WorkerProcess | Feed, Any]] = SimpleQueue()
        self._places = [_Place(device) for device in devices]
        self._assignments = Assignments()
        self._recipe: EncoderRecipe | None = None
        self._encoder: RemoteEncoder | None = None

    def load(
        self,
        model: str | Path,
        config: EstimatorConfig | None,
        *,
        tables: Mapping[str, npt.NDArray[Any]] | None = None,
        **options: Any,
    ) -> RemoteEncoder:
        """Start the workers, wait until the model of the first one is loaded, and say what it is.

        Args:
            model: hub name, local folder or GGUF file.
            config: estimator settings; the published ones if None.
            tables: sketch tables of a space that exists; drawn if None.
            options: of `SignatureEncoder.from_pretrained`, but the device.

        Raises:
            ModelError, ConfigError, SpaceMismatchError: the model cannot be loaded.
            WorkerError: the workers die of it.
        """
        self._recipe = EncoderRecipe(model, config, tables, options)
        try:
            for place in self._places:
                self._start(place)
            while self._encoder is None:
                self._hear()
        except BaseException:
            self.close()
            raise
        return self._encoder

    @property
    def encoder(self) -> RemoteEncoder:
        """What the workers have loaded."""
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

    def prepare(self, texts: Sequence[str]) -> PlainTexts:
        """Leave texts to the workers to tokenize."""
        return PlainTexts(tuple(texts))

    @property
    def waited(self) -> float:
        """Share of the time in which the models had nothing to do."""
        spans = sum(place.ended - place.began for place in self._places if place.began is not None and place.ended)
        return max(0.0, 1 - sum(place.busy for place in self._places) / spans) if spans > 0 else 0.0

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that live."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def run(self, blocks: Iterator[TokenizedBlock], progress: TokenProgress) -> Iterator[EncodedBlock]:
        """See `Encoding.run`.

        Raises:
            WorkerError: all workers died.
            RiseStoreError: what a worker raises that is not about one block.
        """
        feed = Feed(blocks, len(self._places) * BLOCKS_AT_ONCE, lambda *event: self._events.put(event))
        try:
            while not feed.ended or self._assignments:
                self._hear(progress, feed)
                self._assignments.hand_out(self._workers, self.patience_s)
                while self._assignments.results:
                    feed.done()
                    yield self._assignments.results.popleft()
        finally:
            feed.close()
            self._assignments.clear(self._workers)

    def close(self) -> None:
        """End the workers; closing twice is fine."""
        for place in self._places:
            if place.worker is not None:
                place.worker.end()
                place.worker = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _workers(self) -> list[WorkerProcess]:
        return [place.worker for place in self._places if place.worker is not None]

    def _start(self, place: _Place) -> None:
        assert self._recipe is not None
        place.worker = WorkerProcess(self._recipe, place.device, self._threads, lambda *event: self._events.put(event))

    def _hear(self, progress: TokenProgress | None = None, feed: Feed | None = None) -> None:
        """Wait for something to happen, at most a moment, and see to it."""
        try:
            source, message = self._events.get(timeout=_TICK_S)
        except Empty:
            return
        if isinstance(source, WorkerProcess):
            for place in self._places:
                if place.worker is source:
                    self._hear_worker(place, source, message, progress)
        elif source is feed:
            if isinstance(message, BaseException):
                raise message
            if message is None:
                source.ended = True
            else:
                self._assignments.add(message)

    def _hear_worker(
        self, place: _Place, worker: WorkerProcess, message: FromWorker | None, progress: TokenProgress | None
    ) -> None:
        worker.heard = time.monotonic()
        match message:
            case RemoteEncoder():
                self._agree(message, place)
                worker.ready = True
            case Begun():
                place.began = place.began or time.monotonic()
            case Tokens():
                if progress is not None:
                    progress(message.number)
            case Done():
                place.deaths = 0
                place.busy += message.encoded.seconds
                place.ended = time.monotonic()
                self._assignments.finish(worker, message.ticket, message.encoded, self._workers)
            case Failed(error=SignatureError() as error, ticket=int() as ticket):
                self._assignments.finish(worker, ticket, error, self._workers)
            case Failed():
                raise message.error
            case Dying():
                worker.reason = f"ended with {message.reason}"
            case None:
                self._bury(place, worker)

    def _agree(self, encoder: RemoteEncoder, place: _Place) -> None:
        if self._encoder is None:
            self._encoder = encoder
        elif encoder.fingerprint != self._encoder.fingerprint:
            raise SpaceMismatchError(
                f"the worker on {place.device} loaded another model than the others ({encoder.fingerprint}, not "
                f"{self._encoder.fingerprint}): {encoder.reference.name} has changed meanwhile. Run the same command "
                "again"
            )

    def _bury(self, place: _Place, worker: WorkerProcess) -> None:
        """Replace a dead worker, and give its blocks to others."""
        how = worker.end()
        place.worker = None
        place.deaths += 1
        if not worker.ready and not how.startswith("was killed"):
            raise WorkerError(
                f"the worker on {place.device} {how} before its model was loaded; in a script, ingest with workers "
                'below `if __name__ == "__main__":`'
            )
        self._assignments.lose(worker, how, self._workers, self.patience_s)
        if place.deaths < DEATHS_OF_A_PLACE:
            self._notify(f"the worker on {place.device} {how}; another one takes its place")
            self._start(place)
        elif not self._workers:
            raise WorkerError(
                f"all workers died, the last one {how}. What was stored is kept: look for what ends them (memory for "
                f"{len(self._places)} copies of the model?), and run the same command again, with fewer workers"
            )
