"""How close the sketched score comes to the exact product as its widths grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rise_store.evaluation.baselines.exact import ExactProduct, by_text
from rise_store.evaluation.baselines.method import Array
from rise_store.evaluation.baselines.model import ChunkStates, LanguageModel
from rise_store.records import EstimatorConfig, Example, Query
from rise_store.signature import SketchTables, average_chunks
from rise_store.signature.channels import Channels

TOP = (5, 10, 50)


@dataclass(frozen=True)
class Agreement:
    """Of sketched scores with exact ones; means over queries."""

    pearson: float
    spearman: float
    overlap: dict[int, float]  # k -> share of the exact top k that the sketched top k has


@dataclass(frozen=True)
class WidthAgreement:
    """Agreement at one choice of widths."""

    kr: int
    kh: int
    kg: int
    dim: int
    agreement: Agreement


def agreement(exact: Array, sketched: Array, top: Sequence[int] = TOP) -> Agreement:
    """Agreement of two sets of scores, (queries, rows) each; a k above the number of rows is left out."""
    rows = exact.shape[1]
    return Agreement(
        pearson=_mean_correlation(exact, sketched),
        spearman=_mean_correlation(_ranks(exact), _ranks(sketched)),
        overlap={k: _overlap(exact, sketched, k) for k in top if k <= rows},
    )


def sketched_agreement(
    model: LanguageModel,
    rows: Sequence[Example],
    queries: Sequence[Query],
    configs: Sequence[EstimatorConfig],
    top: Sequence[int] = TOP,
) -> list[WidthAgreement]:
    """Agreement of scores at several widths with the exact ones, from one pass through the backbone.

    Args:
        model: whose LM head it is.
        rows: training rows.
        queries: what is asked.
        configs: settings that differ in widths and seed alone; the exact product has the others of the first.
        top: lengths of the rankings that are compared.
    """
    exact = ExactProduct(model, configs[0])
    exact.index(rows)
    texts = model.queries(queries)
    asked = by_text(model.states(texts), len(texts))
    truth = exact.scores_of(asked)
    found = []
    for config in configs:
        sketched = signatures_of(model, asked, config) @ signatures_of(model, exact.rows, config).T
        found.append(WidthAgreement(config.kr, config.kh, config.kg, config.dim, agreement(truth, sketched, top)))
    return found


@torch.no_grad()
def signatures_of(model: LanguageModel, texts: Sequence[list[ChunkStates]], config: EstimatorConfig) -> Array:
    """Signatures of texts whose hidden states are known, (n, dim) float32, rows of unit length."""
    readout = model.readout
    tables = SketchTables.draw(readout.hidden_size, readout.vocabulary_size, config)
    channels = Channels(readout, tables, config)
    chunks = [chunk for parts in texts for chunk in parts]
    signatures = np.empty((len(chunks), config.dim), np.float32)
    for number, chunk in enumerate(chunks):
        counts = torch.ones(1, len(chunk.targets), dtype=torch.bool)
        signatures[number] = channels.signatures(chunk.hidden[None], chunk.targets[None], counts)[0].numpy()
    return average_chunks(signatures, np.array([len(parts) for parts in texts], np.int64))


def _mean_correlation(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    """Pearson's correlation of each row of two matrices, averaged; 0 where a row is constant."""
    x, y = (part - part.mean(axis=1, keepdims=True, dtype=np.float64) for part in (a, b))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return float(np.mean(np.divide((x * y).sum(axis=1), norms, out=np.zeros_like(norms), where=norms > 0)))


def _ranks(scores: Array) -> Array:
    ranks: Array = scores.argsort(axis=1).argsort(axis=1).astype(np.float32)
    return ranks


def _overlap(exact: Array, sketched: Array, k: int) -> float:
    best = [np.argsort(-scores, axis=1, kind="stable")[:, :k] for scores in (exact, sketched)]
    shared = [len(np.intersect1d(one, other)) for one, other in zip(*best, strict=True)]
    return float(np.mean(shared)) / k
