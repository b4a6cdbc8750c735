"""A chunk has one signature, whatever it shares a batch with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rise_store.signature import EstimatorConfig, SignatureEncoder, load_model
from rise_store.signature.readout import Readout
from tests.signature.conftest import SMALL, SaveModel


@pytest.fixture(scope="module")
def chunks() -> list[list[int]]:
    """Random chunks of 2 to 256 tokens."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 500, length).tolist() for length in [2, 3, 256, 17, *rng.integers(2, 120, 9).tolist()]]


def assert_same(signatures: np.ndarray, expected: np.ndarray) -> None:
    assert (signatures * expected).sum(axis=1).min() >= 0.99999


@pytest.mark.parametrize("weighting", ["uniform", "residual"])
@pytest.mark.parametrize("batch_tokens", [1, 300, 1024, 100_000])
def test_a_signature_does_not_depend_on_its_batch(
    batch_tokens: int, weighting: str, tiny_model: Path, chunks: list[list[int]]
) -> None:
    config = SMALL.model_copy(update={"position_weighting": weighting})
    encoder = SignatureEncoder.from_pretrained(tiny_model, config, device="cpu", batch_tokens=batch_tokens)
    alone = np.concatenate([encoder.encode_token_ids([chunk]) for chunk in chunks])
    assert_same(encoder.encode_token_ids(chunks), alone)
    order = np.random.default_rng(1).permutation(len(chunks))
    assert_same(encoder.encode_token_ids([chunks[i] for i in order]), alone[order])


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "mixtral"])
def test_other_architectures_do_not_see_what_fills_a_batch(
    name: str, save_model: SaveModel, chunks: list[list[int]]
) -> None:
    """Neither absolute positions nor sliding windows nor a router of experts reach from one chunk to another."""
    encoder = SignatureEncoder.from_pretrained(save_model(name, 509), SMALL, device="cpu", batch_tokens=100_000)
    alone = np.concatenate([encoder.encode_token_ids([chunk]) for chunk in chunks])
    assert_same(encoder.encode_token_ids(chunks), alone)


def test_texts_of_a_real_model_do_not_depend_on_their_batch(shared: Path, chunks: list[list[int]]) -> None:
    folder = shared / "models" / "stories260k"
    encoders = [SignatureEncoder.from_pretrained(folder, SMALL, device="cpu", batch_tokens=n) for n in (1, 50_000)]
    ids = encoders[0].chunks(["Once upon a time there was a big red dog. " * repeats for repeats in range(1, 16)])
    flat = [chunk for parts in ids for chunk in parts] + chunks
    alone, together = (encoder.encode_token_ids(flat) for encoder in encoders)
    assert_same(together, alone)


def test_signatures_do_not_depend_on_the_number_of_threads(encoder: SignatureEncoder, chunks: list[list[int]]) -> None:
    single = encoder.encode_token_ids(chunks)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert_same(encoder.encode_token_ids(chunks), single)
    finally:
        torch.set_num_threads(threads)


def test_the_same_call_gives_the_same_bits(encoder: SignatureEncoder, chunks: list[list[int]]) -> None:
    np.testing.assert_array_equal(encoder.encode_token_ids(chunks), encoder.encode_token_ids(chunks))


def test_one_loss_start_per_chunk_equals_separate_calls(encoder: SignatureEncoder, chunks: list[list[int]]) -> None:
    starts = [max(1, len(chunk) // 3) for chunk in chunks]
    together = encoder.encode_token_ids(chunks, starts)
    separate = [encoder.encode_token_ids([chunk], start) for chunk, start in zip(chunks, starts, strict=True)]
    assert_same(together, np.concatenate(separate))
    assert (together * encoder.encode_token_ids(chunks)).sum(axis=1).min() < 0.9, "and masking makes a difference"


def test_without_a_loss_start_every_position_counts(encoder: SignatureEncoder, chunks: list[list[int]]) -> None:
    everything = encoder.encode_token_ids(chunks)
    for loss_start in (0, 1, [1] * len(chunks)):
        np.testing.assert_array_equal(encoder.encode_token_ids(chunks, loss_start), everything)


def test_a_signature_is_the_direction_of_a_sum_over_positions(encoder: SignatureEncoder) -> None:
    """So that of a chunk lies in the plane of those of its two parts, and what follows a part does not change it."""
    chunk = np.random.default_rng(2).integers(0, 500, 30).tolist()
    parts = np.concatenate([encoder.encode_token_ids([chunk[:20]]), encoder.encode_token_ids([chunk], 20)])  # (2, dim)
    whole = encoder.encode_token_ids([chunk])[0]
    shares = np.linalg.lstsq(parts.T, whole, rcond=None)[0]
    assert (shares > 0).all()
    np.testing.assert_allclose(shares @ parts, whole, atol=1e-5)


def test_positions_that_do_not_count_cost_no_logits(
    encoder: SignatureEncoder, chunks: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 0
    raw_logits = Readout.raw_logits

    def counting(self: Readout, hidden: Tensor) -> Tensor:
        nonlocal rows
        rows += len(hidden)
        return raw_logits(self, hidden)

    monkeypatch.setattr(Readout, "raw_logits", counting)
    starts = [max(1, len(chunk) - 2) for chunk in chunks]
    encoder.encode_token_ids(chunks, starts)
    assert rows == sum(len(chunk) - start for chunk, start in zip(chunks, starts, strict=True))
    rows = 0
    encoder.encode_token_ids(chunks)
    assert rows == sum(len(chunk) - 1 for chunk in chunks), "neither padding nor the last token of a chunk"


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_batches_are_not_filled_with_what_a_model_calls_padding(padding: int, save_model: SaveModel) -> None:
    """Some models warn, or mask by themselves, where they meet it without an attention mask."""
    loaded = load_model(save_model("llama", 509), device="cpu")
    loaded.model.config.pad_token_id = padding
    encoder = SignatureEncoder(loaded, SMALL, batch_tokens=100)
    seen: list[Tensor] = []
    loaded.model.model.register_forward_pre_hook(
        lambda module, inputs, named: seen.append(named["input_ids"]), with_kwargs=True
    )
    encoder.encode_token_ids([[5, 6, 7, 8, 9], [5, 6]])
    assert seen[0].shape == (2, 5)
    assert padding not in seen[0]


def test_progress_is_told_every_token_once(encoder: SignatureEncoder, chunks: list[list[int]]) -> None:
    told: list[int] = []
    encoder.encode_token_ids(chunks, progress=told.append)
    assert sum(told) == sum(map(len, chunks))


def test_encoding_leaves_the_global_random_state_alone(encoder: SignatureEncoder) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    encoder.encode_token_ids([[1, 2, 3]])
    assert torch.equal(torch.rand(1), expected)


def test_no_chunks_give_no_signatures(encoder: SignatureEncoder) -> None:
    assert encoder.encode_token_ids([]).shape == (0, encoder.dim)
    assert encoder.dim == EstimatorConfig(kr=32, kh=16, kg=8).dim == 16 * (32 + 8)
