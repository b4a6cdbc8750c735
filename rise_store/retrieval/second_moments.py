"""Where the rows come from that preconditioning is estimated from: a random sample of the stored ones.

Ids of points are hashes, so the rows of the smallest ids are a random sample. It follows from what is stored: every
process, and a store that cannot be written, takes the same one; it keeps pace as the store grows; and a row that is
erased or replaced is out of it at once. So nothing about the sample is kept in the store, where it would outlive what
is erased (the eigenvectors of the sample's Gram matrix disclose how alike its rows are).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import StoreError
from rise_store.records import Lambdas
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import Moments, Preconditioner, checked_alpha
from rise_store.store import Collection, StoredPoint

SAMPLE = 512  # stored rows
_VERSION = ("content_sha256", "ingested_at")  # a row with another signature differs in these
_SPACES = 2  # whose samples are held: 50 MB each at 24,576 coordinates

Version = tuple[UUID, str, str]


class SecondMoments:
    """Preconditioning for the features of any metric; the samples read last are held for later queries.

    A held sample is used as long as its rows are those of the smallest ids, unchanged, which costs a look at their ids.
    Safe for threads.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held: dict[str, _Sample] = {}

    def preconditioner(self, collection: Collection, scoring: Scoring, alpha: float) -> Preconditioner:
        """Preconditioning for the features of a metric, estimated from stored rows.

        Raises:
            ConfigError: alpha is not above 0.
            StoreError: fewer than 2 rows are stored.
            SignatureError: the sampled rows hold nothing.
        """
        checked_alpha(alpha)
        with self._mutex:
            return self._sample(collection).moments(scoring).preconditioner(alpha)

    def _sample(self, collection: Collection) -> _Sample:
        known = self._held.pop(collection.space.fingerprint, None)
        if known is None or known.versions != _versions(islice(collection.scroll(fields=_VERSION), SAMPLE)):
            known = _Sample.read(collection)
        self._held[collection.space.fingerprint] = known  # behind the others
        for fingerprint in list(self._held)[:-_SPACES]:
            del self._held[fingerprint]
        return known


@dataclass
class _Sample:
    versions: tuple[Version, ...]
    rows: npt.NDArray[np.float32]  # (n, dim), as they are stored
    held: tuple[tuple[str, Lambdas | None], Moments] | None = None  # of the metric that was asked for last

    @classmethod
    def read(cls, collection: Collection) -> _Sample:
        points = list(islice(collection.scroll(with_vectors=True, fields=_VERSION), SAMPLE))
        if len(points) < 2:
            raise StoreError(
                f"preconditioning is estimated from stored examples, and the store holds {len(points)}; "
                "ingest more, or leave --precondition out"
            )
        rows = np.stack([point.vector for point in points if point.vector is not None])
        return cls(_versions(points), rows)

    def moments(self, scoring: Scoring) -> Moments:
        key = (scoring.metric, scoring.lambdas)
        if self.held is None or self.held[0] != key:
            self.held = (key, Moments.of_rows(scoring.features(self.rows)))
        return self.held[1]


def _versions(points: Iterable[StoredPoint]) -> tuple[Version, ...]:
    content, ingested = _VERSION
    return tuple((point.id, str(point.payload.get(content)), str(point.payload.get(ingested))) for point in points)
