"""The signature of a chunk is the sum of what its positions add."""

from __future__ import annotations

import numpy as np
import pytest

from rise_store.records import Query
from rise_store.signature import SignatureEncoder

CHUNKS = [[5, 9, 2, 7, 7, 1], [3, 4], [8, 1, 6, 2, 9, 4, 4, 5, 1, 2]]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_positions_add_up_to_the_signature(encoder: SignatureEncoder) -> None:
    signatures = encoder.encode_token_ids(CHUNKS)
    for chunk, signature, positions in zip(CHUNKS, signatures, encoder.position_factors(CHUNKS), strict=True):
        assert positions.predicted.tolist() == list(range(1, len(chunk)))
        np.testing.assert_allclose(unit(positions.channels(encoder.config)), signature, atol=1e-6)


def test_only_positions_of_the_completion_count(encoder: SignatureEncoder) -> None:
    (positions,) = encoder.position_factors(CHUNKS[:1], [4])
    assert positions.predicted.tolist() == [4, 5]
    (signature,) = encoder.encode_token_ids(CHUNKS[:1], 4)
    np.testing.assert_allclose(unit(positions.channels(encoder.config)), signature, atol=1e-6)


def test_counts_weigh_positions(encoder: SignatureEncoder) -> None:
    (positions,) = encoder.position_factors(CHUNKS[:1])
    counts = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 1, 1, 1]], np.float32)
    whole, first, rest = positions.channels(encoder.config, counts)
    np.testing.assert_allclose(first + rest, whole, atol=1e-5)


def test_a_query_is_chunked_as_it_is_encoded(encoder: SignatureEncoder) -> None:
    query = Query(prompt="Once upon a time", completion=" there was a cat.")
    (asked,) = encoder.query_chunks([query])
    (signature,) = encoder.encode_token_ids(asked.chunks, asked.loss_start)
    assert signature @ encoder.encode_queries([query]).signatures[0] == pytest.approx(1, abs=1e-5)
