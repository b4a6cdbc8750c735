"""Where the rows come from that preconditioning is estimated from."""

from __future__ import annotations

import numpy as np

from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import Preconditioner, checked_alpha
from rise_store.store import Collection

SAMPLE = 512  # stored rows


def precondition_with(collection: Collection, scoring: Scoring, alpha: float) -> Preconditioner:
    """Preconditioning estimated from a random sample of a collection's rows, for the features of a metric.

    Raises:
        ConfigError: alpha is not above 0.
        SignatureError: the sampled rows hold nothing.
    """
    checked_alpha(alpha)
    points = collection.sample(SAMPLE, with_vectors=True)
    rows = np.stack([point.vector for point in points if point.vector is not None])
    return Preconditioner.from_rows(scoring.features(rows), alpha)
