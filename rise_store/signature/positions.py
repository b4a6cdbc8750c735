"""What single token positions add to the signature of their chunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rise_store.records import EstimatorConfig

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PositionFactors:
    """The factors of the outer products that the T positions of one chunk add to its channels.

    The signature of the chunk is `normalised [lambda_rh sum_t r_t (x) h_t, lambda_gh sum_t g_t (x) h_t]`
    (DESIGN section 2, step 6), so each position can be weighed, left out, or compared with one of another chunk:
    `<r_t (x) h_t, r_s (x) h_s> = <r_t, r_s> <h_t, h_s>`.
    """

    predicted: npt.NDArray[np.int64]  # (T,) index in the chunk of the token that each position predicts
    hidden: Array  # (T, kh)
    residual: Array  # (T, kr)
    error: Array  # (T, kg)

    def __len__(self) -> int:
        return len(self.predicted)

    def channels(self, config: EstimatorConfig, counts: npt.NDArray[np.floating] | None = None) -> Array:
        """The chunk's signature before it is normalised, (dim,) or one for each row of counts, (n, dim).

        Args:
            config: the space's settings.
            counts: how often each position counts, (T,) or (n, T); once each if None.
        """
        weights = np.ones(len(self), np.float32) if counts is None else np.asarray(counts, np.float32)
        rows = np.atleast_2d(weights)[:, :, None] * self.hidden  # (n, T, kh)
        rh = config.lambda_rh * (self.residual.T @ rows)  # (n, kr, kh)
        gh = config.lambda_gh * (self.error.T @ rows)  # (n, kg, kh)
        flat = np.concatenate([rh.reshape(len(rows), -1), gh.reshape(len(rows), -1)], axis=1)
        return flat if weights.ndim == 2 else flat[0]
