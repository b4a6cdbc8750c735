"""The products of LM-head gradients that signatures sketch, with full vectors.

The gradient of a text's loss with respect to the LM head's weight is `sum_t r_t (x) h_t`, so the inner product of two
such gradients is `sum over t, s of <r_t, r_s> <h_t, h_s>`: V + D numbers a position instead of V * D. Kept of a row
are its hidden states; residuals come from them again through the LM head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rise_store.evaluation.baselines.method import Array
from rise_store.evaluation.baselines.model import ChunkStates, LanguageModel
from rise_store.records import EstimatorConfig, Example, Query
from rise_store.signature.support import largest_slots, residual

_QUERY_POSITIONS = 1024  # positions of queries whose residuals are dense, (V, _QUERY_POSITIONS), at a time
_EPSILON = 1e-8


@dataclass(frozen=True)
class Errors:
    """The residuals of T positions: on slots as the estimator has them, or on the whole vocabulary."""

    values: Tensor  # (T, C) float32
    entries: Tensor | None  # (T, C) int64, the vocabulary entry of each slot; None where C is V

    def times(self, matrix: Tensor) -> Tensor:
        """`r @ matrix`: (V, n) -> (T, n)."""
        if self.entries is None:
            return self.values @ matrix
        return F.embedding_bag(self.entries, matrix, mode="sum", per_sample_weights=self.values)

    def dense(self, v: int) -> Tensor:
        """(T, V)."""
        if self.entries is None:
            return self.values
        return self.values.new_zeros(len(self.values), v).scatter_add_(1, self.entries, self.values)


@dataclass(frozen=True)
class Positions:
    """Positions of texts, with what each counts in its text."""

    hidden: Tensor  # (T, D)
    targets: Tensor  # (T,)
    owners: Tensor  # (T,) int64, which text each is of
    weights: Tensor  # (T,)


@dataclass(frozen=True)
class Columns:
    """T positions that others are multiplied with, normalised as the settings say."""

    residuals: Tensor  # (V, T)
    errors: Tensor | None  # (D, T), projected; None without channel GH
    states: Tensor  # (D, T)


class ExactProduct:
    """What the sketched score tends to as widths grow (`config`), or the product of true gradients (`config` None).

    With a config: residuals, normalisation of positions, channels and averages of chunks as DESIGN section 2 has them,
    but for the sketches; `lambda_gh=0` leaves the LM-head gradient alone. Without: r is the softmax at temperature 1
    over the whole vocabulary less the one-hot target, nothing is normalised at a position, and a text's gradient is
    that of its mean loss.
    """

    def __init__(self, model: LanguageModel, config: EstimatorConfig | None = None, *, unit: bool = True) -> None:
        """Wrap a model.

        Args:
            model: whose LM head it is.
            config: settings of the estimator, widths and seed aside; None for the true gradient.
            unit: whether texts have unit length (the score is a cosine), as signatures do.
        """
        self._model = model
        self._config = config
        self._unit = unit
        self._weight = model.readout.weight.to(torch.float32)  # (V, D)
        self._rows: list[list[ChunkStates]] = []
        self._positions: Positions | None = None

    @property
    def name(self) -> str:
        """`exact-rise` or `exact-gradient`."""
        return "exact-gradient" if self._config is None else "exact-rise"

    @property
    def bytes_per_row(self) -> float:
        """Hidden states in float32 and token ids; it grows with the text."""
        count = sum(len(chunk.targets) for chunks in self._rows for chunk in chunks)
        return count * (4.0 * self._model.readout.hidden_size + 4) / len(self._rows)

    @property
    def rows(self) -> list[list[ChunkStates]]:
        """The chunks of each indexed row."""
        return self._rows

    def index(self, rows: Sequence[Example]) -> None:
        """One pass through the backbone."""
        texts = self._model.rows(rows)
        self._rows = by_text(self._model.states(texts), len(texts))
        self._positions = self._weighted(self._rows)

    def scores(self, queries: Sequence[Query]) -> Array:
        """Products of every query with every row."""
        texts = self._model.queries(queries)
        return self.scores_of(by_text(self._model.states(texts), len(texts)))

    @torch.no_grad()
    def scores_of(self, queries: Sequence[list[ChunkStates]]) -> Array:
        """Products of texts whose hidden states are known with every row, (texts, rows)."""
        asked, rows = self._weighted(queries), self._positions
        assert rows is not None
        scores = torch.zeros(len(queries), len(self._rows))
        for start in range(0, len(asked.targets), _QUERY_POSITIONS):
            part = slice(start, start + _QUERY_POSITIONS)
            columns = self._columns(asked.hidden[part], asked.targets[part])
            by_row = torch.zeros(len(self._rows), len(asked.targets[part]))  # (rows, T)
            for first in range(0, len(rows.targets), self._model.readout.block_rows):
                block = slice(first, first + self._model.readout.block_rows)
                products = self._products(rows.hidden[block], rows.targets[block], columns)  # (B, T)
                by_row.index_add_(0, rows.owners[block], products * rows.weights[block, None])
            scores.index_add_(0, asked.owners[part], (by_row * asked.weights[part]).T)
        found: Array = scores.numpy()
        return found

    @torch.no_grad()
    def _weighted(self, texts: Sequence[list[ChunkStates]]) -> Positions:
        """All positions of texts, weighted so that sums over a text's positions are what a text is compared by."""
        hidden, targets, owners, weights = [], [], [], []
        for number, chunks in enumerate(texts):
            states = torch.cat([chunk.hidden for chunk in chunks])
            ids = torch.cat([chunk.targets for chunk in chunks])
            hidden.append(states)
            targets.append(ids)
            owners.append(torch.full((len(ids),), number))
            weights.append(self._weights(states, ids, [len(chunk.targets) for chunk in chunks]))
        return Positions(torch.cat(hidden), torch.cat(targets), torch.cat(owners), torch.cat(weights))

    def _weights(self, hidden: Tensor, targets: Tensor, lengths: Sequence[int]) -> Tensor:
        """What each of T positions of one text counts, (T,)."""
        weights = torch.full((len(targets),), 1 / len(targets))
        if not self._unit:
            return weights
        columns, step = self._columns(hidden, targets), self._model.readout.block_rows
        blocks = [slice(start, start + step) for start in range(0, len(hidden), step)]
        gram = torch.cat([self._products(hidden[rows], targets[rows], columns) for rows in blocks])  # (T, T)
        if self._config is not None:  # chunks have unit length before they are averaged
            start = 0
            for length in lengths:
                part = slice(start, start + length)
                weights[part] = 1 / gram[part, part].sum().clamp(min=0).sqrt().clamp(min=_EPSILON)
                start += length
        return weights / (weights @ gram @ weights).clamp(min=0).sqrt().clamp(min=_EPSILON)

    def _columns(self, hidden: Tensor, targets: Tensor) -> Columns:
        step = self._model.readout.block_rows
        residuals, errors = [], []
        for start in range(0, len(hidden), step):
            own = self._errors(hidden[start : start + step], targets[start : start + step])
            residuals.append(self._positional(own.dense(self._model.readout.vocabulary_size)))
            if self._both_channels:
                errors.append(self._positional(own.times(self._weight)))
        return Columns(
            torch.cat(residuals).T.contiguous(), torch.cat(errors).T if errors else None, self._states(hidden).T
        )

    def _products(self, hidden: Tensor, targets: Tensor, columns: Columns) -> Tensor:
        """`(lambda_rh^2 <r, r'> + lambda_gh^2 <g, g'>) <h, h'>` of B positions and T columns, (B, T)."""
        own = self._errors(hidden, targets)
        products = own.times(columns.residuals)  # (B, T)
        if self._config is not None:
            if self._config.position_weighting == "uniform":
                products = products / own.values.norm(dim=1, keepdim=True).clamp_(min=_EPSILON)
            products = self._config.lambda_rh**2 * products
            if columns.errors is not None:
                projected = self._positional(own.times(self._weight))  # (B, D)
                products = products + self._config.lambda_gh**2 * (projected @ columns.errors)
        return products * (self._states(hidden) @ columns.states)

    @property
    def _both_channels(self) -> bool:
        return self._config is not None and self._config.lambda_gh > 0

    def _errors(self, hidden: Tensor, targets: Tensor) -> Errors:
        """Residuals of at most `block_rows` positions."""
        readout = self._model.readout
        logits = readout.raw_logits(hidden.to(readout.weight.dtype))  # (T, V), a buffer that the next call overwrites
        if self._config is None:
            p = torch.softmax(readout.transform(logits.to(torch.float32)), dim=1)
            p[torch.arange(len(targets)), targets] -= 1.0
            return Errors(p, None)
        target_logits = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
        k = min(self._config.top_k, readout.vocabulary_size)
        slots = largest_slots(logits, self._config, readout.transform)
        found = residual(slots, targets, target_logits, self._config, readout.transform, k).weighed(self._config)
        return Errors(found.values, found.entries)

    def _states(self, hidden: Tensor) -> Tensor:
        states = hidden.to(torch.float32)
        return states if self._config is None else F.normalize(states, dim=1, eps=_EPSILON)

    def _positional(self, vectors: Tensor) -> Tensor:
        """Vectors of positions (T, n), of unit length where the config says so."""
        uniform = self._config is not None and self._config.position_weighting == "uniform"
        return F.normalize(vectors, dim=1, eps=_EPSILON) if uniform else vectors


def by_text(states: Iterator[ChunkStates], texts: int) -> list[list[ChunkStates]]:
    """Chunks sorted to their texts, in the order in which they come."""
    found: list[list[ChunkStates]] = [[] for _ in range(texts)]
    for chunk in states:
        # a copy: a view would keep the hidden states of its whole batch
        found[chunk.text].append(ChunkStates(chunk.text, chunk.hidden.clone(), chunk.targets))
    return found
