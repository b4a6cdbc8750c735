"""RapidIn (arXiv 2405.11724): the whole gradient of a row's loss, normalised by layer and projected at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rise_store.evaluation.baselines.method import Array
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.evaluation.baselines.shuffled_projection import ShuffledProjection
from rise_store.records import Example, Query
from rise_store.signature import QueryChunks

WIDTH = 65_536
_EPSILON = 1e-8


class RapidIn:
    """One backward pass a row; the score is the inner product of projected gradients."""

    name = "rapidin"

    def __init__(self, model: LanguageModel, *, width: int = WIDTH, shuffles: int = 20, seed: int = 42) -> None:
        self._model = model
        self._settings = {"width": width, "shuffles": shuffles, "seed": seed}
        self._width = width
        self._projection: ShuffledProjection | None = None
        self._rows: npt.NDArray[np.float16] = np.zeros((0, width), np.float16)

    @property
    def bytes_per_row(self) -> float:
        """`width` coordinates in float16."""
        return 2.0 * self._width

    def index(self, rows: Sequence[Example]) -> None:
        """Backward passes over the rows, one by one."""
        self._rows = self._project(self._model.rows(rows))

    def scores(self, queries: Sequence[Query]) -> Array:
        """Inner products of the gradients of the queries' completions with those of the rows."""
        projected = self._project(self._model.queries(queries)).astype(np.float32)
        scores: Array = projected @ self._rows.astype(np.float32).T
        return scores

    def _project(self, texts: Sequence[QueryChunks]) -> npt.NDArray[np.float16]:
        if self._projection is None:
            size = sum(parameter.numel() for parameter in self._model.parameters)
            self._projection = ShuffledProjection.draw(size, **self._settings)
        projected = np.empty((len(texts), self._width), np.float16)
        with self._model.gradients():
            for number, text in enumerate(texts):
                self._model.backward(text)
                with torch.no_grad():
                    projected[number] = self._projection(self._normalised_layers()).numpy()
        return projected

    def _normalised_layers(self) -> list[Tensor]:
        """The gradient of each parameter tensor at unit length, in the place of the gradient itself."""
        layers = []
        for parameter in self._model.parameters:
            gradient = parameter.grad
            if gradient is None:  # a parameter that the loss does not reach
                gradient = torch.zeros_like(parameter)
            layers.append(gradient.div_(gradient.norm().clamp_(min=_EPSILON)))
        return layers
