"""TrackStar (arXiv 2410.17413), by the package bergson where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rise_store.errors import InputError
from rise_store.evaluation.baselines.method import Array
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.records import Example, Query
from rise_store.signature import QueryChunks

PROJECTION = 16  # rows and columns of a layer's projected gradient, bergson's own default for TrackStar
_IGNORED = -100  # label of a position that does not count
_EPSILON = 1e-8


class TrackStar:
    """Gradients of the layers below the LM head, projected from both sides, `G -> H^-1/2 G` by layer, of unit length.

    H is the second moment of the rows' own projected gradients; that of the queries is not mixed in, and there is no
    Adam state to correct with.
    """

    name = "trackstar"

    def __init__(self, model: LanguageModel, folder: Path, *, projection: int = PROJECTION) -> None:
        """Wrap a model.

        Args:
            model: whose gradients count.
            folder: where the package writes its second moments.
            projection: rows and columns of a layer's projected gradient.

        Raises:
            InputError: bergson is not installed.
        """
        try:
            import bergson  # noqa: F401
        except ImportError as error:
            raise InputError("TrackStar needs the package bergson: pip install bergson") from error
        self._model = model
        self._folder = folder
        self._projection = projection
        self._preconditioner: Any = None
        self._rows: Array = np.zeros((0, 0), np.float32)

    @property
    def bytes_per_row(self) -> float:
        """`projection^2` float32 a layer."""
        return 4.0 * int(self._rows.shape[1])

    def index(self, rows: Sequence[Example]) -> None:
        """A backward pass a chunk, and the square roots of the layers' second moments."""
        from bergson.hessians.preconditioner import DensePreconditioner

        gradients, processor = self._gradients(self._model.rows(rows), moments=True)
        self._preconditioner = DensePreconditioner.from_processor(processor, power=-0.5)
        self._rows = self._corrected(gradients)

    def scores(self, queries: Sequence[Query]) -> Array:
        """Cosines of corrected gradients."""
        gradients, _ = self._gradients(self._model.queries(queries), moments=False)
        scores: Array = self._corrected(gradients) @ self._rows.T
        return scores

    def _corrected(self, gradients: dict[str, Tensor]) -> Array:
        corrected = torch.cat(list(self._preconditioner.apply(gradients).values()), dim=1)
        unit: Array = (corrected / corrected.norm(dim=1, keepdim=True).clamp_(min=_EPSILON)).numpy()
        return unit

    def _gradients(self, texts: Sequence[QueryChunks], *, moments: bool) -> tuple[dict[str, Tensor], Any]:
        """Projected gradients of texts by layer, each (texts, projection^2), and what holds the second moments."""
        from bergson import CollectorComputer, GradientProcessor, IndexConfig, InMemoryCollector
        from datasets import Dataset

        chunks = [pair for text in texts for pair in zip(text.chunks, text.loss_start, strict=True)]
        owners: npt.NDArray[np.int64] = np.repeat(np.arange(len(texts)), [len(text.chunks) for text in texts])
        labels = [[_IGNORED] * start + chunk[start:] for chunk, start in chunks]
        data = Dataset.from_dict({"input_ids": [chunk for chunk, _ in chunks], "labels": labels})
        config = IndexConfig(run_path=str(self._folder / "run"), projection_dim=self._projection, projection_seed=0)
        config.partial_run_path.mkdir(parents=True, exist_ok=True)
        processor = GradientProcessor(projection_dim=self._projection, projection_seed=0)
        language_model = self._model.loaded.model
        with self._model.gradients(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # its bars
            collector = InMemoryCollector(
                model=language_model.base_model, data=data, cfg=config, processor=processor, skip_hessians=not moments
            )
            CollectorComputer(language_model, data, collector=collector, cfg=config).run_with_collector_hooks()
        summed = {}
        for layer, found in collector.gradients.items():
            of_texts = torch.zeros(len(texts), found.shape[1])
            # The gradient of a text is the sum of its chunks'.
            summed[layer] = of_texts.index_add_(0, torch.from_numpy(owners), found.to(torch.float32))
        return summed, processor
