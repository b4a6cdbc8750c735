"""A worker process: one model, which encodes the texts of one block while those of the next are tokenized.

Three threads: one reads from the pipe and tokenizes, the main one runs the model, one writes to the pipe; so the model
waits neither for texts nor for the parent to take signatures.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from rise_store.errors import ModelError, RiseStoreError
from rise_store.ingest.texts import EncodedTexts, PreparedTexts, TokenizedTexts, encode_texts, tokenize_texts
from rise_store.ingest.workers.remote import EncoderRecipe, RemoteEncoder

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


@dataclass(frozen=True)
class Texts:
    """To a worker: encode these. The ticket is of this one time that the block is handed out."""

    ticket: int
    texts: PreparedTexts


@dataclass(frozen=True)
class Dropped:
    """To a worker: another one does it."""

    ticket: int


@dataclass(frozen=True)
class Begun:
    """From a worker: the model works on it."""

    ticket: int


@dataclass(frozen=True)
class Tokens:
    """From a worker: so many tokens were just encoded."""

    number: int


@dataclass(frozen=True)
class Done:
    """From a worker: the signatures."""

    ticket: int
    encoded: EncodedTexts


@dataclass(frozen=True)
class Failed:
    """From a worker: why it cannot do that, or, without a ticket, why it cannot do anything."""

    error: RiseStoreError
    ticket: int | None = None


@dataclass(frozen=True)
class Dying:
    """From a worker: why it ends."""

    reason: str


FromWorker = RemoteEncoder | Begun | Tokens | Done | Failed | Dying
ToWorker = Texts | Dropped


def work(connection: Connection, recipe: EncoderRecipe, device: str, threads: int | None) -> None:
    """What a worker process does until its parent closes the pipe, or dies.

    Args:
        connection: to the parent.
        recipe: how to load the model.
        device: where to.
        threads: of torch, within an operation; None leaves it to torch.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which lets the blocks in flight finish
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the parent started us with it blocked
    outbox: SimpleQueue[FromWorker] = SimpleQueue()
    told = Event()
    Thread(target=_write, args=(connection, outbox, told), daemon=True).start()
    try:
        _Worker(connection, outbox, _load(recipe, device, threads)).run()
    except RiseStoreError as error:
        outbox.put(Failed(error))
    except Exception as error:  # the model's libraries raise what they like; the parent decides what it means
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        outbox.put(Dying(f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__))
    told.wait(10)
    os._exit(1)  # at once: threads of the model's libraries may hang in an orderly end


def _load(recipe: EncoderRecipe, device: str, threads: int | None) -> SignatureEncoder:
    if threads is not None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of the tokenizer
        import torch

        torch.set_num_threads(threads)
    try:
        return recipe.load(device=device)
    except MemoryError:
        raise ModelError(f"there is no memory for another copy of {recipe.model}; use fewer workers") from None


class _Worker:
    def __init__(self, connection: Connection, outbox: SimpleQueue[FromWorker], encoder: SignatureEncoder) -> None:
        self._connection = connection
        self._outbox = outbox
        self._encoder = encoder
        self._tokenized: SimpleQueue[tuple[int, TokenizedTexts | Exception]] = SimpleQueue()
        self._dropped: set[int] = set()
        self._lock = Lock()

    def run(self) -> None:
        self._outbox.put(RemoteEncoder.describing(self._encoder))
        Thread(target=self._read, daemon=True).start()
        while True:
            ticket, texts = self._tokenized.get()
            with self._lock:
                if ticket in self._dropped:
                    self._dropped.remove(ticket)
                    continue
            self._outbox.put(Begun(ticket))
            try:
                if isinstance(texts, Exception):
                    raise texts
                self._outbox.put(Done(ticket, encode_texts(texts, self._encoder, self._progress)))
            except RiseStoreError as error:
                self._outbox.put(Failed(error, ticket))

    def _progress(self, tokens: int) -> None:
        self._outbox.put(Tokens(tokens))

    def _read(self) -> None:
        while True:
            try:
                message: ToWorker = self._connection.recv()
            except (EOFError, OSError):  # the parent is done, or dead
                os._exit(0)
            if isinstance(message, Dropped):
                with self._lock:
                    self._dropped.add(message.ticket)
                continue
            texts = message.texts
            try:
                tokenized = texts if isinstance(texts, TokenizedTexts) else tokenize_texts(texts.texts, self._encoder)
                self._tokenized.put((message.ticket, tokenized))
            except Exception as error:  # raised where the model runs, which ends the worker
                self._tokenized.put((message.ticket, error))


def _write(connection: Connection, outbox: SimpleQueue[FromWorker], told: Event) -> None:
    while True:
        message = outbox.get()
        try:
            connection.send(message)
        except OSError:  # the parent is done, or dead
            os._exit(0)
        if isinstance(message, Dying) or (isinstance(message, Failed) and message.ticket is None):
            told.set()
