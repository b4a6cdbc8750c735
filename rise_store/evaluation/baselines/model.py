"""What the baselines need of a language model: token ids, hidden states, losses and their gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rise_store.errors import InputError
from rise_store.records import EstimatorConfig, Example, Query
from rise_store.signature import LoadedModel, QueryChunks, SignatureEncoder
from rise_store.signature.backbone import TransformersBackbone, make_readout
from rise_store.signature.windows import length_batches

_TOKENS_ONLY = EstimatorConfig(kr=1, kh=1, kg=1)
BATCH_TOKENS = 1024


@dataclass(frozen=True)
class ChunkStates:
    """The positions of one chunk that count."""

    text: int  # which text the chunk is of
    hidden: Tensor  # (T, D), what the LM head consumes
    targets: Tensor  # (T,) int64, the token that each position predicts


class LanguageModel:
    """A causal language model whose texts are cut and masked as for signatures (DESIGN section 2, steps 7 to 9)."""

    def __init__(self, loaded: LoadedModel, *, batch_tokens: int = BATCH_TOKENS) -> None:
        self.loaded = loaded
        self.readout = make_readout(loaded.model)
        self._backbone = TransformersBackbone(loaded)
        self._encoder = SignatureEncoder(loaded, _TOKENS_ONLY)  # for its texts: the same tokens as signatures see
        self._batch_tokens = batch_tokens

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The model's parameters, tied ones once."""
        return list(self.loaded.model.parameters())

    def rows(self, rows: Sequence[Example]) -> list[QueryChunks]:
        """The token ids of training rows; every position of them counts.

        Raises:
            InputError: a row of fewer than 2 tokens.
        """
        texts = []
        for row, chunks in zip(rows, self._encoder.chunks([row.content for row in rows]), strict=True):
            reason = self._encoder.unencodable(chunks)
            if reason is not None:
                raise InputError(f"row {row.key}: {reason}; leave it out")
            texts.append(QueryChunks(chunks, [1] * len(chunks)))
        return texts

    def queries(self, queries: Sequence[Query]) -> list[QueryChunks]:
        """The token ids of queries, and which of their positions count."""
        return self._encoder.query_chunks(queries)

    @torch.no_grad()
    def states(self, texts: Sequence[QueryChunks]) -> Iterator[ChunkStates]:
        """Hidden states of the positions that count, chunk by chunk, in the order of batches."""
        flat = [
            (number, chunk, start)
            for number, text in enumerate(texts)
            for chunk, start in zip(text.chunks, text.loss_start, strict=True)
        ]
        for batch in length_batches([len(chunk) for _, chunk, _ in flat], self._batch_tokens):
            hidden = self._backbone.hidden_states([flat[i][1] for i in batch])  # (B, L, D)
            for row, i in enumerate(batch):
                number, chunk, start = flat[i]
                first = max(start, 1)
                targets = torch.tensor(chunk[first:], device=hidden.device)
                yield ChunkStates(number, hidden[row, first - 1 : len(chunk) - 1], targets)

    @torch.no_grad()
    def losses(self, texts: Sequence[QueryChunks]) -> npt.NDArray[np.float64]:
        """Mean loss a token of each text, nats, (n,)."""
        sums, counts = np.zeros(len(texts)), np.zeros(len(texts))
        for chunk in self.states(texts):
            for rows, logits in self.readout.blocks(chunk.hidden):
                z = self.readout.transform(logits.to(torch.float32))
                sums[chunk.text] += float(F.cross_entropy(z, chunk.targets[rows], reduction="sum"))
            counts[chunk.text] += len(chunk.targets)
        return sums / counts

    @contextmanager
    def gradients(self) -> Iterator[None]:
        """Within it, `backward` works: every parameter takes a gradient."""
        parameters = self.parameters
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)
                parameter.grad = None

    def backward(self, text: QueryChunks) -> None:
        """Put the gradient of a text's mean loss a token into `.grad` of every parameter, replacing what was there."""
        for parameter in self.parameters:
            parameter.grad = None
        head = self.loaded.model.get_output_embeddings()
        count = sum(len(chunk) - start for chunk, start in zip(text.chunks, text.loss_start, strict=True))
        with torch.enable_grad():
            for chunk, start in zip(text.chunks, text.loss_start, strict=True):
                hidden = self._backbone.hidden_states([chunk])[0, start - 1 : -1]  # (T, D)
                logits = F.linear(hidden, head.weight, getattr(head, "bias", None)).to(torch.float32)
                targets = torch.tensor(chunk[start:], device=logits.device)
                loss = F.cross_entropy(self.readout.transform(logits), targets, reduction="sum") / count
                loss.backward()  # type: ignore[no-untyped-call]
