"""Where the model works: what comes between the blocks that were tokenized and the blocks that are to be stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rise_store.errors import SignatureError
from rise_store.ingest.texts import EncodedTexts, Encoder, TokenizedTexts, TokenProgress, encode_texts


@dataclass(frozen=True)
class TokenizedBlock:
    """The texts of a block on their way to the model; at least one of them has chunks."""

    number: int
    texts: TokenizedTexts


@dataclass(frozen=True)
class EncodedBlock:
    """What the model made of a block: signatures, or why it has none."""

    number: int
    texts: EncodedTexts | SignatureError  # the error's `text` is the number of the text


class Encoding(Protocol):
    """Models at work, in this process or in others."""

    ahead: int  # blocks that may be with the models or lie ready for them: 2 are enough for one model
    waited: float  # share of the time between the first block and the last one in which the models had nothing to do

    def run(self, blocks: Iterator[TokenizedBlock], progress: TokenProgress) -> Iterator[EncodedBlock]:
        """Each of `blocks` encoded, in any order; closing the iterator drops what is not done.

        It is called, iterated over and closed in one thread, the main one where there is a choice. `blocks` waits for
        the next block and may be consumed in another thread; it ends when there are no more, and also when the run is
        stopped: whatever was taken from it by then is still to be encoded and given.

        Args:
            blocks: what is to be encoded.
            progress: is told how many tokens were just encoded, in the thread that iterates; an exception that it
                raises must pass through.
        """
        ...


class InProcess:
    """One model in this process, which works in the thread that iterates.

    That is to be the main one: memory that the model frees in another thread goes to an arena of glibc that
    `keep_freed_blocks` has no hold on, and OpenMP has a pool of its own for each thread that uses it.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.ahead = 2
        self.waited = 0.0
        self._encoder = encoder

    def run(self, blocks: Iterator[TokenizedBlock], progress: TokenProgress) -> Iterator[EncodedBlock]:
        """See `Encoding.run`."""
        began = None
        waiting = 0.0
        asked = time.monotonic()
        for block in blocks:
            got = time.monotonic()
            if began is None:
                began = got
            else:
                waiting += got - asked
            try:
                done: EncodedTexts | SignatureError = encode_texts(block.texts, self._encoder, progress)
            except SignatureError as error:
                done = error
            asked = time.monotonic()
            self.waited = waiting / max(asked - began, 1e-9)
            yield EncodedBlock(block.number, done)
