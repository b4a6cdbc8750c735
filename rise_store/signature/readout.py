"""The readout: the LM head's weight and bias, the transform behind it, and blocks of logits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rise_store.signature.sketch import CountSketch
from rise_store.signature.transform import LogitTransform

# Bytes of one block of logits. On CPU larger blocks fall out of the cache, smaller ones starve the matrix product.
LOGIT_BLOCK_BYTES = {"cpu": 96 << 20, "other": 1 << 30}
FEWEST_ROWS = 32  # positions in a block, however large the vocabulary


class Readout:
    """The LM head of a model, and logits of its hidden states in bounded blocks.

    Memory: one buffer of at most `max(LOGIT_BLOCK_BYTES, FEWEST_ROWS * V * itemsize)` bytes, made once and
    reused; the (T, V) logits of a batch never exist.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, transform: LogitTransform) -> None:
        self.weight = weight  # (V, D)
        self.bias = bias  # (V,) or None
        self.transform = transform
        self._buffer: Tensor | None = None

    def to(self, device: torch.device) -> Readout:
        """The same readout with its weights on a device."""
        bias = None if self.bias is None else self.bias.to(device)
        return Readout(self.weight.to(device), bias, self.transform)

    @property
    def vocabulary_size(self) -> int:
        """V, rows of the LM head."""
        return int(self.weight.shape[0])

    @property
    def hidden_size(self) -> int:
        """D, size of the hidden state that the head consumes."""
        return int(self.weight.shape[1])

    @property
    def block_rows(self) -> int:
        """Positions in a block of logits."""
        budget = LOGIT_BLOCK_BYTES["cpu" if self.weight.device.type == "cpu" else "other"]
        return max(FEWEST_ROWS, budget // (self.vocabulary_size * self.weight.element_size()))

    def raw_logits(self, hidden: Tensor) -> Tensor:
        """Logits before the transform: (T, D) -> (T, V) in the head's dtype, T at most `block_rows`.

        The result is a view of the shared buffer: the next call overwrites it.
        """
        if self._buffer is None:
            self._buffer = self.weight.new_empty(self.block_rows, self.vocabulary_size)
        out = self._buffer[: len(hidden)]  # (T, V)
        if self.bias is None:
            return torch.mm(hidden, self.weight.T, out=out)
        return torch.addmm(self.bias, hidden, self.weight.T, out=out)

    def blocks(self, hidden: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Blocks of positions with their raw logits: each a slice of T and (T_block, V)."""
        for start in range(0, len(hidden), self.block_rows):
            rows = slice(start, min(start + self.block_rows, len(hidden)))
            yield rows, self.raw_logits(hidden[rows].to(self.weight.dtype))

    def sketched_weight(self, sketch: CountSketch) -> Tensor:
        """`M_g = CS_g(W)`: (V, D) -> (V, kg) float32, computed block by block."""
        matrix = sketch.matrix().to(self.weight.device)  # (D, kg)
        sketched = torch.empty(self.vocabulary_size, sketch.width, device=self.weight.device)
        for start in range(0, self.vocabulary_size, 8192):
            rows = slice(start, start + 8192)
            sketched[rows] = self.weight[rows].to(torch.float32) @ matrix
        return sketched
