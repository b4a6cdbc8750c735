"""Texts -> token ids -> signatures, in two steps, so that one block is tokenized while the model works on another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rise_store.errors import SignatureError

if TYPE_CHECKING:
    from rise_store.signature import Signatures

TokenProgress = Callable[[int], None]  # is told how many tokens were just encoded


class Encoder(Protocol):
    """What ingestion needs of a model; `SignatureEncoder` is the usual one."""

    batch_tokens: int

    @property
    def dim(self) -> int:
        """Coordinates of a signature."""
        ...

    def chunks(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Tokenize texts and split them into chunks; a text of fewer than 2 tokens has none."""
        ...

    def unencodable(self, chunks: Sequence[Sequence[int]]) -> str | None:
        """Why the chunks of a text cannot be encoded; None when they can."""
        ...

    def encode_chunks(
        self, chunks: Sequence[Sequence[Sequence[int]]], *, progress: TokenProgress | None = None
    ) -> Signatures:
        """Signatures of texts that are chunked already."""
        ...


@dataclass(frozen=True)
class Unfit:
    """Why a text has no signature."""

    reason: str
    too_short: bool


@dataclass(frozen=True)
class TokenizedTexts:
    """Chunks of those texts that can be encoded, and why the others cannot."""

    fit: tuple[int, ...]  # numbers of the texts that have chunks, in order
    chunks: list[list[list[int]]]  # of these
    unfit: dict[int, Unfit]  # by number of the text


@dataclass(frozen=True)
class EncodedTexts:
    """Signatures of those texts that have one, and why the others have none."""

    fit: tuple[int, ...]  # numbers of the texts that have one, in order
    signatures: npt.NDArray[np.float32]  # (fit, dim), unit length
    channel_norms: npt.NDArray[np.float32]  # (fit, 2): RH, GH
    token_counts: npt.NDArray[np.int64]  # (fit,)
    chunk_counts: npt.NDArray[np.int64]  # (fit,)
    unfit: dict[int, Unfit]
    seconds: float = 0.0  # that the model worked


def tokenize_texts(texts: Sequence[str], encoder: Encoder) -> TokenizedTexts:
    """Tokenize texts and split them into chunks."""
    fit: list[int] = []
    chunks: list[list[list[int]]] = []
    unfit: dict[int, Unfit] = {}
    for number, parts in enumerate(encoder.chunks(texts)):
        reason = encoder.unencodable(parts)
        if reason is None:
            fit.append(number)
            chunks.append(parts)
        else:
            unfit[number] = Unfit(reason, too_short=not parts)
    return TokenizedTexts(tuple(fit), chunks, unfit)


def encode_texts(texts: TokenizedTexts, encoder: Encoder, progress: TokenProgress | None = None) -> EncodedTexts:
    """Signatures of tokenized texts.

    Raises:
        SignatureError: one is not finite; its `text` is the number of the text.
    """
    started = time.monotonic()
    try:
        encoded: Any = encoder.encode_chunks(texts.chunks, progress=progress)
    except SignatureError as error:
        if error.chunk is not None:
            owners = [number for number, parts in zip(texts.fit, texts.chunks, strict=True) for _ in parts]
            error.text = owners[error.chunk]
        raise
    return EncodedTexts(
        texts.fit,
        encoded.signatures,
        encoded.channel_norms,
        encoded.token_counts,
        encoded.chunk_counts,
        texts.unfit,
        time.monotonic() - started,
    )


def nothing_encoded(texts: TokenizedTexts, dim: int) -> EncodedTexts:
    """What becomes of texts none of which can be encoded."""
    assert not texts.fit
    none = np.zeros(0, dtype=np.int64)
    return EncodedTexts(
        (), np.zeros((0, dim), dtype=np.float32), np.zeros((0, 2), dtype=np.float32), none, none, texts.unfit
    )
