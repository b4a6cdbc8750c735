"""The estimator: hidden states and next tokens of a batch -> signatures of its chunks (DESIGN section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rise_store.records import EstimatorConfig
from rise_store.signature.readout import Readout
from rise_store.signature.sketch import SketchTables
from rise_store.signature.support import Residual, largest_slots, residual

EPSILON = 1e-8  # least length that a vector is divided by


@dataclass(frozen=True)
class Factors:
    """What T positions add to the channels of their chunks: RH gets `residual (x) hidden`, GH `error (x) hidden`."""

    hidden: Tensor  # (T, kh) float32, rows of unit length
    residual: Tensor  # (T, kr) float32, weighted as the space's position_weighting says
    error: Tensor  # (T, kg) float32, likewise


class Channels:
    """Sketches positions and sums their outer products into the two channels RH and GH."""

    def __init__(self, readout: Readout, tables: SketchTables, config: EstimatorConfig) -> None:
        device = readout.weight.device
        self._readout = readout
        self._config = config
        self._hidden = tables.hidden.matrix().to(device)  # (D, kh)
        self._error = readout.sketched_weight(tables.error)  # (V, kg), M_g
        self._bucket = tables.residual.bucket.to(device)  # (V,)
        self._sign = tables.residual.sign.to(device)  # (V,)

    def signatures(self, hidden: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """Signatures of a batch of chunks.

        Args:
            hidden: what the LM head consumes, (B, L, D); position t predicts token t + 1.
            targets: the tokens predicted, (B, L) int64.
            counts: which positions count, (B, L) bool; the others cost nothing here.

        Returns:
            (B, kh * (kr + kg)) float32: `[lambda_rh * RH, lambda_gh * GH]`, each row of unit length.
        """
        config = self._config
        b, length, _ = hidden.shape
        positions = counts.flatten().nonzero().squeeze(1)  # (T,)
        factors = self.factors(hidden.flatten(0, 1)[positions], targets.flatten()[positions])
        h_padded = _scatter(factors.hidden, positions, b, length)  # (B, L, kh)
        rh = _scatter(factors.residual, positions, b, length).transpose(1, 2) @ h_padded  # (B, kr, kh)
        gh = _scatter(factors.error, positions, b, length).transpose(1, 2) @ h_padded  # (B, kg, kh)
        return _unit(torch.cat([config.lambda_rh * rh.flatten(1), config.lambda_gh * gh.flatten(1)], dim=1))

    def factors(self, hidden: Tensor, targets: Tensor) -> Factors:
        """The factors of the outer products that T positions add to their chunks' channels.

        Args:
            hidden: what the LM head consumes, (T, D).
            targets: the token that each position predicts, (T,) int64.
        """
        h_sketch = self.sketch_hidden(hidden)  # (T, kh)
        r_sketch = h_sketch.new_empty(len(hidden), self._config.kr)  # (T, kr)
        g_sketch = h_sketch.new_empty(len(hidden), self._config.kg)  # (T, kg)
        for rows, logits in self._readout.blocks(hidden):
            r_sketch[rows], g_sketch[rows] = self.sketch_errors(logits, targets[rows])
        if self._config.position_weighting == "uniform":
            r_sketch, g_sketch = _unit(r_sketch), _unit(g_sketch)
        return Factors(h_sketch, r_sketch, g_sketch)

    def sketch_hidden(self, hidden: Tensor) -> Tensor:
        """`CS_h(h)` of unit length: (T, D) -> (T, kh) float32."""
        return _unit(hidden.to(torch.float32) @ self._hidden)

    def sketch_errors(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """`CS_r(r)` and `CS_g(g)` of a block of positions: (T, V), (T,) -> (T, kr), (T, kg).

        As long as they are, or, if positions count by surprisal, that many times its root.
        """
        transform = self._readout.transform
        slots = largest_slots(logits, self._config, transform)
        target_logits = logits.gather(1, targets.unsqueeze(1)).squeeze(1)  # (T,)
        k = min(self._config.top_k, logits.shape[1])
        r = residual(slots, targets, target_logits, self._config, transform, k).weighed(self._config)
        return self._sparse_sketches(r) if logits.device.type == "cpu" else self._dense_sketches(r)

    def _sparse_sketches(self, r: Residual) -> tuple[Tensor, Tensor]:
        """Sketch the kept slots only: at a small temperature they are a handful of hundreds."""
        rows = len(r.values)
        row, slot = r.values.nonzero(as_tuple=True)  # (N,) each, rows ascending
        values, entries = r.values[row, slot], r.entries[row, slot]  # (N,)
        kr = self._config.kr
        r_sketch = values.new_zeros(rows * kr)
        r_sketch.index_add_(0, row * kr + self._bucket[entries], values * self._sign[entries])
        counts = torch.bincount(row, minlength=rows)
        g_sketch = F.embedding_bag(
            entries, self._error, counts.cumsum(0) - counts, mode="sum", per_sample_weights=values
        )  # (T, kg): sum_v r(v) M_g[v]
        return r_sketch.view(rows, kr), g_sketch

    def _dense_sketches(self, r: Residual) -> tuple[Tensor, Tensor]:
        """Sketch every slot, dropped ones with weight 0: no host synchronisation."""
        r_sketch = r.values.new_zeros(len(r.values), self._config.kr)
        r_sketch.scatter_add_(1, self._bucket[r.entries], r.values * self._sign[r.entries])
        g_sketch = F.embedding_bag(r.entries, self._error, mode="sum", per_sample_weights=r.values)
        return r_sketch, g_sketch


def _unit(x: Tensor) -> Tensor:
    """Rows of unit length, (..., n): `x / max(|x|, EPSILON)`."""
    length: Tensor = x.norm(dim=-1, keepdim=True)
    return x / length.clamp_(min=EPSILON)


def _scatter(x: Tensor, positions: Tensor, b: int, length: int) -> Tensor:
    """Put rows back at their positions, zeros elsewhere: (T, n) -> (B, L, n)."""
    return x.new_zeros(b * length, x.shape[1]).index_copy_(0, positions, x).view(b, length, -1)
