"""Long texts become overlapping chunks, prompts are masked, and chunks of like length share a batch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.signature import EstimatorConfig, average_chunks
from rise_store.signature.windows import chunk_windows, completion_start, length_batches
from tests.signature import reference

DEFAULT = EstimatorConfig()
quick = settings(max_examples=100, deadline=None, database=None)


@pytest.mark.parametrize(
    ("tokens", "spans"),
    [
        (0, []),
        (1, []),
        (2, [(0, 2)]),
        (256, [(0, 256)]),
        (257, [(0, 256), (206, 257)]),
        (413, [(0, 256), (206, 413)]),  # the window that starts at 412 has 1 token
        (414, [(0, 256), (206, 414), (412, 414)]),
        (700, [(0, 256), (206, 462), (412, 668), (618, 700)]),
    ],
)
def test_windows_of_256_tokens_start_every_206(tokens: int, spans: list[tuple[int, int]]) -> None:
    ids = list(range(tokens))
    assert chunk_windows(ids, DEFAULT) == [ids[start:end] for start, end in spans]
    assert reference.windows(tokens) == spans


@quick
@given(tokens=st.integers(0, 500), size=st.integers(2, 60), data=st.data())
def test_windows_cover_every_token_and_overlap_as_asked(tokens: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    ids = list(range(tokens))
    chunks = chunk_windows(ids, EstimatorConfig(chunk_size=size, chunk_overlap=overlap))
    assert [(chunk[0], chunk[-1] + 1) for chunk in chunks] == reference.windows(tokens, size, overlap)
    assert all(2 <= len(chunk) <= size for chunk in chunks)
    covered = {token for chunk in chunks for token in chunk}
    left_out = set(ids) - covered
    assert left_out <= {tokens - 1}, "only a last window of a single token may be dropped"
    if overlap > 0 and tokens >= 2:
        assert not left_out
    assert all(after[0] - before[0] == size - overlap for before, after in itertools.pairwise(chunks))


@pytest.mark.parametrize(
    ("prompt", "tokens", "start"),
    [(0, 10, 1), (1, 10, 1), (4, 10, 4), (9, 10, 9), (10, 10, 9), (600, 512, 511), (5, 2, 1)],
)
def test_only_tokens_after_the_prompt_are_predicted_and_at_least_one(prompt: int, tokens: int, start: int) -> None:
    assert completion_start(prompt, tokens) == start == reference.query_loss_start(prompt, tokens)


@quick
@given(lengths=st.lists(st.integers(2, 300), max_size=200), budget=st.integers(1, 2000))
def test_batches_hold_every_chunk_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(length_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
    flat = [lengths[index] for batch in batches for index in batch]
    assert flat == sorted(lengths, reverse=True), "the longest first"


@quick
@given(lengths=st.lists(st.integers(2, 300), min_size=1, max_size=200), budget=st.integers(300, 2000))
def test_a_batch_is_closed_only_when_the_next_chunk_does_not_fit(lengths: list[int], budget: int) -> None:
    batches = list(length_batches(lengths, budget))
    for batch in batches[:-1]:
        assert (len(batch) + 1) * max(lengths[index] for index in batch) > budget


def test_batches_of_mixed_lengths_carry_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(2, 257, 2000).tolist()
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in length_batches(lengths, 1024))
    assert padded / sum(lengths) < 1.02


@quick
@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=5), dim=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_chunks_are_rounded_to_float16_then_averaged_and_normalised(counts: list[int], dim: int, seed: int) -> None:
    chunks = np.random.default_rng(seed).normal(size=(sum(counts), dim)).astype(np.float32)
    chunks /= np.linalg.norm(chunks, axis=1, keepdims=True)
    averaged = average_chunks(chunks, np.array(counts))
    assert averaged.dtype == np.float32
    first = 0
    for i, count in enumerate(counts):
        expected = reference.example_signature(list(chunks[first : first + count]))
        np.testing.assert_allclose(averaged[i], expected, atol=2e-6)
        first += count
    assert average_chunks(np.empty((0, dim), dtype=np.float32), np.array([], dtype=np.int64)).shape == (0, dim)
