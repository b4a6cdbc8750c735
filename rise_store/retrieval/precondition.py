"""Preconditioning: directions that many stored signatures share count less.

`q' = alpha l1 (C + alpha l1 I)^-1 q`, C = X^T X / n being the second moments of n stored rows X and l1 its largest
eigenvalue. The factor `alpha l1` changes no ranking: with it, what no sampled row has in common with the query stays as
it is, and q' is q where alpha is large. C has one coordinate squared, the Gram matrix of the sample one row squared:
with `X X^T / n = U diag(e) U^T`, `q' = q - X^T U diag(1 / (n (e + alpha l1))) U^T X q` (Woodbury).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError, SignatureError

Array = npt.NDArray[np.float32]


def checked_alpha(alpha: float) -> float:
    """`ConfigError` unless alpha is a finite number above 0."""
    if not (math.isfinite(alpha) and alpha > 0):
        raise ConfigError(f"precondition is {alpha}; give a number above 0, such as 0.01")
    return alpha


@dataclass(frozen=True)
class Moments:
    """Second moments of a sample: its rows, and the eigenvalues and eigenvectors of their Gram matrix over n."""

    rows: Array  # (n, dim), features of the sampled rows
    values: npt.NDArray[np.float64]  # (n,), ascending
    vectors: npt.NDArray[np.float64]  # (n, n), in columns

    @classmethod
    def of_rows(cls, rows: Array) -> Moments:
        """Those of features of stored rows, (n, dim) float32.

        Raises:
            SignatureError: no rows, or rows of zeros or NaN.
        """
        gram = (rows @ rows.T).astype(np.float64) / max(len(rows), 1)  # (n, n)
        if len(rows) == 0 or not np.isfinite(gram).all() or not gram.any():
            raise SignatureError("there is nothing to estimate preconditioning from: the sampled signatures are empty")
        return cls(rows, *np.linalg.eigh(gram))

    def preconditioner(self, alpha: float) -> Preconditioner:
        """The map of one alpha; `ConfigError` unless that is above 0."""
        shifted = np.maximum(self.values, 0) + checked_alpha(alpha) * self.values[-1]
        return Preconditioner(self.rows, (self.vectors / (len(self.rows) * shifted)) @ self.vectors.T, alpha)


@dataclass(frozen=True)
class Preconditioner:
    """A linear, symmetric map of features, estimated from a sample of stored rows."""

    rows: Array  # (n, dim), features of the sampled rows
    inverse: npt.NDArray[np.float64]  # (n, n), U diag(1 / (n (e + alpha l1))) U^T
    alpha: float

    @classmethod
    def from_rows(cls, rows: Array, alpha: float) -> Preconditioner:
        """Estimate from features of stored rows, (n, dim) float32.

        Raises:
            ConfigError: alpha is not above 0.
            SignatureError: no rows, or rows of zeros or NaN.
        """
        checked_alpha(alpha)
        return Moments.of_rows(rows).preconditioner(alpha)

    def __call__(self, features: Array) -> Array:
        """Preconditioned features, (m, dim) -> (m, dim)."""
        shared = (features @ self.rows.T).astype(np.float64) @ self.inverse  # (m, n)
        preconditioned: Array = features - shared.astype(np.float32) @ self.rows
        return preconditioned
