"""RISE itself, through the encoder and the store that users have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from typing_extensions import Unpack

from rise_store.evaluation.baselines.method import Array
from rise_store.records import ChannelNorms, Example, Query, Storage
from rise_store.retrieval import Search, SearchOptions
from rise_store.signature import SignatureEncoder
from rise_store.store import Point, SearchRequest, build_payload, open_store, point_id

DATASET = "rows"


class Rise:
    """Signatures in a store of their own; scores are those of an exact search for every row."""

    def __init__(
        self,
        encoder: SignatureEncoder,
        folder: Path,
        *,
        name: str = "rise",
        storage: Storage | None = None,
        **options: Unpack[SearchOptions],
    ) -> None:
        """Wrap an encoder.

        Args:
            encoder: the model, with the settings of the estimator.
            folder: where the store is made; there must be none.
            name: how tables call it.
            storage: how the store keeps signatures; float16 by default.
            options: of the search: metric, weights, lambdas, precondition.
        """
        self.name = name
        self._encoder = encoder
        self._folder = folder
        self._space = encoder.space().model_copy(update={"storage": storage or Storage()})
        self._options = options
        self._count = 0

    @property
    def bytes_per_row(self) -> float:
        """Of a stored signature; its payload is what users keep with any method."""
        return float(self._space.storage.bytes_per_vector(self._space.dim))

    def index(self, rows: Sequence[Example]) -> None:
        """Encode rows and store their signatures."""
        self._count = len(rows)
        encoded = self._encoder.encode(rows)
        points = [
            Point(
                point_id(self._space.fingerprint, DATASET, str(number)),
                encoded.signatures[number],
                build_payload(
                    example_id=str(number),
                    dataset=DATASET,
                    content_sha256=row.content_sha256,
                    run_id="bench",
                    ingested_at=self._space.created_at,
                    tokens=int(encoded.token_counts[number]),
                    chunks=int(encoded.chunk_counts[number]),
                    channel_norms=ChannelNorms(
                        rh=encoded.channel_norms[number, 0], gh=encoded.channel_norms[number, 1]
                    ),
                ),
            )
            for number, row in enumerate(rows)
        ]
        with open_store(self._folder, create=True) as backend:
            collection = backend.create_space(self._space, self._encoder.tables.arrays())
            for start in range(0, len(points), 256):
                collection.upsert(points[start : start + 256])
            collection.tidy()

    def scores(self, queries: Sequence[Query]) -> Array:
        """Scores of all rows, by one exact search for as many as there are."""
        signatures = self._encoder.encode_queries(queries).signatures
        scores = np.empty((len(queries), self._count), np.float32)
        with open_store(self._folder) as backend:
            collection = backend.open_collection(self._space.fingerprint)
            search = Search.plan(collection, queries, **self._options)
            requests = [
                SearchRequest(vector, self._count, scaling=search.scoring.scaling, fields=("example_id",))
                for vector in search.fold(signatures)
            ]
            for number, hits in enumerate(collection.search(requests)):
                for hit in hits:
                    scores[number, int(hit.payload["example_id"])] = hit.score
        return scores
