"""EK-FAC influence functions (arXiv 2308.03296), by the package kronfluence where it is installed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from rise_store.errors import InputError
from rise_store.evaluation.baselines.method import Array
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.records import Example, Query
from rise_store.signature import QueryChunks

_IGNORED = -100  # label of a position that does not count
_FACTORS, _SCORES = "rows", "queries"


class EKFAC:
    """`<grad L(query), H^-1 grad L(row)>` over the linear layers below the LM head, H^-1 being an EK-FAC one.

    Factors are fitted on the rows; no gradient is kept, so each set of queries costs a backward pass a row. The model
    is changed by the package: use it for nothing else.
    """

    name = "ek-fac"

    def __init__(
        self,
        model: LanguageModel,
        folder: Path,
        *,
        strategy: str = "ekfac",
        batch: int = 4,
        query_rank: int | None = 32,
    ) -> None:
        """Wrap a model.

        Args:
            model: which the package takes over.
            folder: where the package writes factors and scores.
            strategy: the package's name for H: ekfac, kfac, diagonal, or identity for products of gradients.
            batch: chunks of a batch.
            query_rank: rank to which a query's gradient of a layer is cut, so that all queries fit into memory; None
                for whole gradients, one batch of queries at a time.

        Raises:
            InputError: kronfluence is not installed.
        """
        try:
            from kronfluence.analyzer import Analyzer, prepare_model
        except ImportError as error:
            raise InputError("EK-FAC needs the package kronfluence: pip install kronfluence") from error
        self._model = model
        self._folder = folder
        self._strategy = strategy
        self._batch = batch
        self._query_rank = query_rank
        self._task = _task(model)
        prepared = prepare_model(model.loaded.model, self._task)
        self._analyzer = Analyzer(
            analysis_name="ekfac", model=prepared, task=self._task, cpu=True, log_level=logging.ERROR,
            disable_tqdm=True, output_dir=str(folder),
        )  # fmt: skip
        self._rows: list[QueryChunks] = []

    @property
    def bytes_per_row(self) -> float:
        """Of the factors, which all rows share: their files, over the rows."""
        files = (path for path in self._folder.rglob("*.safetensors") if f"factors_{_FACTORS}" in str(path))
        return sum(path.stat().st_size for path in files) / len(self._rows)

    def index(self, rows: Sequence[Example]) -> None:
        """Fit covariances, their eigenvectors and eigenvalues on the rows."""
        from kronfluence.arguments import FactorArguments

        self._rows = self._model.rows(rows)
        self._analyzer.set_dataloader_kwargs(_loading())
        self._analyzer.fit_all_factors(
            factors_name=_FACTORS,
            dataset=_Chunks(self._rows),
            per_device_batch_size=self._batch,
            factor_args=FactorArguments(strategy=self._strategy, use_empirical_fisher=True),
            overwrite_output_dir=True,
        )

    def scores(self, queries: Sequence[Query]) -> Array:
        """Influence of every row on the loss of each query: positive where training on the row lowers it."""
        from kronfluence.arguments import ScoreArguments

        asked = self._model.queries(queries)
        train, test = _Chunks(self._rows), _Chunks(asked)
        arguments = ScoreArguments(damping_factor=None, query_gradient_low_rank=self._query_rank)
        if self._query_rank is not None:
            arguments.query_gradient_accumulation_steps = len(test)
        self._analyzer.compute_pairwise_scores(
            scores_name=_SCORES,
            factors_name=_FACTORS,
            query_dataset=test,
            train_dataset=train,
            per_device_query_batch_size=1,
            per_device_train_batch_size=self._batch,
            score_args=arguments,
            overwrite_output_dir=True,
        )
        chunks = self._analyzer.load_pairwise_scores(_SCORES)["all_modules"].to(torch.float32).numpy()
        # The gradient of a text is the sum of its chunks'.
        by_row = np.zeros((len(test), len(self._rows)), np.float32)
        np.add.at(by_row.T, train.owners, chunks.T)
        scores = np.zeros((len(asked), len(self._rows)), np.float32)
        np.add.at(scores, test.owners, by_row)
        return scores


class _Chunks(torch.utils.data.Dataset[dict[str, list[int]]]):
    """The chunks of texts, each an item: token ids, and the same as labels where they count."""

    def __init__(self, texts: Sequence[QueryChunks]) -> None:
        self._items = []
        owners = []
        for number, text in enumerate(texts):
            for chunk, start in zip(text.chunks, text.loss_start, strict=True):
                self._items.append({"input_ids": chunk, "labels": [_IGNORED] * start + chunk[start:]})
                owners.append(number)
        self.owners: npt.NDArray[np.int64] = np.array(owners, np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self._items[index]


def _loading() -> Any:
    from kronfluence.utils.dataset import DataLoaderKwargs

    return DataLoaderKwargs(collate_fn=_collate)


def _collate(items: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    length = max(len(item["input_ids"]) for item in items)
    fill = {"input_ids": 0, "labels": _IGNORED}
    batch = {
        name: torch.tensor([item[name] + [value] * (length - len(item[name])) for item in items])
        for name, value in fill.items()
    }
    lengths = torch.tensor([len(item["input_ids"]) for item in items])
    return {**batch, "attention_mask": (torch.arange(length) < lengths.unsqueeze(1)).to(torch.int64)}


def _task(model: LanguageModel) -> Any:
    from kronfluence.task import Task

    head = model.loaded.model.get_output_embeddings()
    names = [
        name
        for name, module in model.loaded.model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    ]

    class LossTask(Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: dict[str, torch.Tensor], model: nn.Module, sample: bool = False) -> Any:
            return self.compute_measurement(batch, model)

        def compute_measurement(self, batch: dict[str, torch.Tensor], model: nn.Module) -> Any:
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            return F.cross_entropy(
                logits[:, :-1].flatten(0, 1).to(torch.float32), batch["labels"][:, 1:].flatten(), reduction="sum",
                ignore_index=_IGNORED,
            )  # fmt: skip

        def get_influence_tracked_modules(self) -> list[str]:
            return names

        def get_attention_mask(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return batch["attention_mask"]

    return LossTask()
