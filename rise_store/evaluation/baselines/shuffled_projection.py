"""RapidIn's projection (arXiv 2405.11724): shuffle a vector, multiply it by random signs, sum it in groups.

A full random permutation of billions of coordinates is dear to keep; RapidIn shuffles cheaply instead: the vector is
laid out as a matrix, whose rows are permuted as blocks, then as another matrix, whose columns are permuted, and so on
(20 times each in the paper). Only the short permutations are random.

The whole is linear, and each coordinate ends in one group with one sign. So the shuffles are done once, on the numbers
of the groups, and a vector is projected by adding each coordinate to its group: the same result without moving
gigabytes for every row. What that costs is 3 bytes a coordinate for the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rise_store.errors import ConfigError

_BLOCK = 1 << 22  # coordinates whose group numbers are widened at a time
_LARGEST_WIDTH = 1 << 16  # group numbers are kept in 16 bits


@dataclass(frozen=True)
class Shuffle:
    """One step: the vector as a matrix of so many rows, permuted (`blocks`), or of so many columns, permuted."""

    size: int  # rows or columns
    permutation: npt.NDArray[np.int64]  # (size,)
    blocks: bool  # rows are permuted, else columns

    def apply(self, vector: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The vector, shuffled: (n,) -> (n,), n a multiple of `size`."""
        return self._permuted(vector, self.permutation)

    def undo(self, vector: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The vector that `apply` made this one of."""
        return self._permuted(vector, np.argsort(self.permutation))

    def _permuted(self, vector: npt.NDArray[np.generic], permutation: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
        if self.blocks:
            return vector.reshape(self.size, -1)[permutation].reshape(-1)
        return vector.reshape(-1, self.size)[:, permutation].reshape(-1)


def draw_shuffles(width: int, count: int, generator: np.random.Generator) -> list[Shuffle]:
    """`count` shuffles of rows and as many of columns, in turn; sizes are divisors of the width, random too."""
    divisors = [size for size in range(2, width + 1) if width % size == 0]
    steps = []
    for number in range(2 * count):
        size = int(generator.choice(divisors))
        steps.append(Shuffle(size, generator.permutation(size), number % 2 == 0))
    return steps


@dataclass(frozen=True)
class ShuffledProjection:
    """A random projection of vectors of `size` coordinates to `width`, which keeps inner products in expectation."""

    width: int
    groups: npt.NDArray[np.uint16]  # (size,) the group of each coordinate
    signs: npt.NDArray[np.int8]  # (size,) -1 or +1

    @classmethod
    def draw(cls, size: int, width: int = 65_536, *, shuffles: int = 20, seed: int = 42) -> ShuffledProjection:
        """Draw shuffles and signs.

        Args:
            size: coordinates of the vectors.
            width: groups, at least 2 and at most 65,536; all have `ceil(size / width)` coordinates, the zeros included
                that fill the vector up.
            shuffles: shuffles of rows, and as many of columns.
            seed: of both.

        Raises:
            ConfigError: a width out of range.
        """
        if not 2 <= width <= _LARGEST_WIDTH:
            raise ConfigError(f"RapidIn's width is {width}; choose one from 2 to {_LARGEST_WIDTH:,}")
        generator = np.random.default_rng(seed)
        group = -(-size // width)  # coordinates
        groups: npt.NDArray[np.generic] = np.repeat(np.arange(width, dtype=np.uint16), group)
        for step in reversed(draw_shuffles(width, shuffles, generator)):
            groups = step.undo(groups)
        signs = 2 * generator.integers(0, 2, size, dtype=np.int8) - np.int8(1)
        return cls(width, groups[:size].astype(np.uint16), signs.astype(np.int8))

    def __call__(self, parts: Sequence[Tensor]) -> Tensor:
        """Project a vector that comes in parts, whose coordinates follow one another: -> (width,) float32."""
        blocks = []
        start = 0
        for part in parts:
            flat = part.reshape(-1)
            blocks += [(start + first, flat[first : first + _BLOCK]) for first in range(0, len(flat), _BLOCK)]
            start += len(flat)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # adding to groups takes one thread of torch's
            return sum(pool.map(self._add, blocks), torch.zeros(self.width))

    def _add(self, block: tuple[int, Tensor]) -> Tensor:
        """What coordinates from `start` on add to the groups, (width,)."""
        start, part = block
        place = slice(start, start + len(part))
        groups = torch.from_numpy(self.groups[place].astype(np.int64))
        values = part.to("cpu", torch.float32) * torch.from_numpy(self.signs[place])
        return torch.zeros(self.width).index_add_(0, groups, values)
