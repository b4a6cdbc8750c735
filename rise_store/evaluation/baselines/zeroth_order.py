"""ZO-Inf: influence from losses alone, under shared random perturbations of the parameters.

`d_i(x) = (L(theta + eps z_i; x) - L(theta - eps z_i; x)) / 2 eps` is the derivative of the loss of x along z_i. With
z_i ~ N(0, I), `mean_i d_i(x) d_i(q)` has the inner product of the two gradients as its expectation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from rise_store.errors import ConfigError
from rise_store.evaluation.baselines.method import Array
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.records import Example, Query
from rise_store.signature import QueryChunks

PERTURBATIONS = 16
_EPSILON = 1e-12


class ZerothOrder:
    """Two forward passes over everything for each perturbation; no gradient, no memory beyond the model's.

    A perturbation is drawn anew from its seed wherever it is needed and added in place, so it is never kept (as MeZO
    does, arXiv 2305.17333); the parameters come back up to rounding. Float32 is needed: the differences of losses are
    a thousandth of the losses.
    """

    name = "zo-inf"

    def __init__(
        self,
        model: LanguageModel,
        *,
        perturbations: int = PERTURBATIONS,
        epsilon: float = 1e-3,
        cosine: bool = True,
        seed: int = 0,
    ) -> None:
        """Wrap a model.

        Args:
            model: in float32.
            perturbations: directions, derivatives kept of each row.
            epsilon: length of a step, in standard deviations of a parameter's perturbation.
            cosine: whether the score is the cosine of two rows' derivatives, else their mean product.
            seed: of the first perturbation; the next one has the next.

        Raises:
            ConfigError: the model is not in float32.
        """
        if model.loaded.reference.dtype != "float32":
            raise ConfigError(
                f"ZO-Inf takes differences of losses, which {model.loaded.reference.dtype} rounds away; use float32"
            )
        self._model = model
        self._perturbations = perturbations
        self._epsilon = epsilon
        self._cosine = cosine
        self._seed = seed
        self._rows: Array = np.zeros((0, perturbations), np.float32)

    @property
    def bytes_per_row(self) -> float:
        """One float32 a perturbation."""
        return 4.0 * self._perturbations

    def index(self, rows: Sequence[Example]) -> None:
        """Two passes a perturbation over the rows."""
        self._rows = self.derivatives(self._model.rows(rows))

    def scores(self, queries: Sequence[Query]) -> Array:
        """Cosines, or mean products, of the queries' derivatives and the rows'."""
        asked, rows = self.derivatives(self._model.queries(queries)), self._rows
        divisors = np.full((len(asked), len(rows)), self._perturbations, np.float32)
        if self._cosine:
            lengths = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
            divisors = np.maximum(lengths, _EPSILON).astype(np.float32)
        scores: Array = asked @ rows.T / divisors
        return scores

    def derivatives(self, texts: Sequence[QueryChunks]) -> Array:
        """The derivative of each text's mean loss along each perturbation, (n, perturbations) float32."""
        found: npt.NDArray[np.float64] = np.empty((len(texts), self._perturbations))
        for number in range(self._perturbations):
            self._step(number, self._epsilon)
            try:
                above = self._model.losses(texts)
                self._step(number, -2 * self._epsilon)
                try:
                    below = self._model.losses(texts)
                finally:
                    self._step(number, 2 * self._epsilon)
            finally:
                self._step(number, -self._epsilon)
            found[:, number] = (above - below) / (2 * self._epsilon)
        return found.astype(np.float32)

    @torch.no_grad()
    def _step(self, number: int, scale: float) -> None:
        """Add `scale` times perturbation `number` to the parameters."""
        generator = torch.Generator().manual_seed(self._seed + number)
        for parameter in self._model.parameters:
            z = torch.randn(parameter.shape, generator=generator)
            parameter.add_(z.to(parameter), alpha=scale)
