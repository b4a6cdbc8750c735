"""CountSketch tables and the three sketches that the estimator needs (DESIGN section 2, steps 3 to 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rise_store.digests import arrays_sha256
from rise_store.errors import SpaceMismatchError
from rise_store.records import EstimatorConfig

TABLE_NAMES = ("hidden", "error", "residual")


@dataclass(frozen=True)
class CountSketch:
    """One table: `CS(x)_j` is the sum over i with `bucket[i] = j` of `sign[i] * x_i`."""

    bucket: Tensor  # (n,) int64, in [0, width)
    sign: Tensor  # (n,) float32, -1 or +1
    width: int

    @classmethod
    def draw(cls, n: int, width: int, seed: int) -> CountSketch:
        """Draw a table from a CPU generator: all buckets first, then all signs."""
        generator = torch.Generator(device="cpu").manual_seed(seed)
        bucket = torch.randint(0, width, (n,), generator=generator, dtype=torch.int64)
        sign = torch.randint(0, 2, (n,), generator=generator, dtype=torch.int64)
        return cls(bucket, (2 * sign - 1).to(torch.float32), width)

    def matrix(self) -> Tensor:
        """The sketch as a matrix (n, width) float32, so that `CS(x) = x @ matrix`."""
        matrix = torch.zeros(len(self.bucket), self.width)
        matrix[torch.arange(len(self.bucket)), self.bucket] = self.sign
        return matrix

    def apply(self, x: Tensor) -> Tensor:
        """Sketch the last dimension: (..., n) -> (..., width), in the dtype of `x`."""
        out = x.new_zeros(*x.shape[:-1], self.width)
        return out.index_add_(-1, self.bucket.to(x.device), x * self.sign.to(x))


@dataclass(frozen=True)
class SketchTables:
    """The three tables of a space."""

    hidden: CountSketch  # D -> kh
    error: CountSketch  # D -> kg, of the projected error g = W^T r
    residual: CountSketch  # V -> kr

    @classmethod
    def draw(cls, hidden_size: int, vocabulary_size: int, config: EstimatorConfig) -> SketchTables:
        """Draw the tables of a configuration: seeds `seed`, `seed + 1`, `seed + 2`."""
        return cls(
            hidden=CountSketch.draw(hidden_size, config.kh, config.seed),
            error=CountSketch.draw(hidden_size, config.kg, config.seed + 1),
            residual=CountSketch.draw(vocabulary_size, config.kr, config.seed + 2),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The tables as numpy arrays, to be kept with the collection: `<name>_bucket` int32, `<name>_sign` int8."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in TABLE_NAMES:
            table: CountSketch = getattr(self, name)
            arrays[f"{name}_bucket"] = table.bucket.numpy().astype(np.int32)
            arrays[f"{name}_sign"] = table.sign.numpy().astype(np.int8)
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[Any]], hidden_size: int, vocabulary_size: int, config: EstimatorConfig
    ) -> SketchTables:
        """Rebuild tables that were kept with a collection.

        Raises:
            SpaceMismatchError: the tables are of other dimensions than the model or the configuration.
        """
        sizes = {"hidden": hidden_size, "error": hidden_size, "residual": vocabulary_size}
        widths = {"hidden": config.kh, "error": config.kg, "residual": config.kr}
        tables = {}
        for name in TABLE_NAMES:
            bucket, sign = arrays.get(f"{name}_bucket"), arrays.get(f"{name}_sign")
            if bucket is None or sign is None:
                raise SpaceMismatchError(f"the stored sketch tables lack {name}_bucket or {name}_sign")
            if not len(bucket) == len(sign) == sizes[name] or not 0 <= bucket.min() <= bucket.max() < widths[name]:
                raise SpaceMismatchError(
                    f"the stored {name} sketch maps {len(bucket)} coordinates ({len(sign)} signs), the model needs "
                    f"{sizes[name]} -> {widths[name]}; use the model that the store was made with"
                )
            tables[name] = CountSketch(
                torch.from_numpy(bucket.astype(np.int64)), torch.from_numpy(sign.astype(np.float32)), widths[name]
            )
        return cls(**tables)

    @property
    def sha256(self) -> str:
        """Digest of the tables, hexadecimal."""
        return arrays_sha256(self.arrays())
