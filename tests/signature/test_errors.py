"""What cannot be encoded is refused with the reason, before or instead of a wrong signature."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rise_store.errors import InputError, RiseStoreError, SignatureError
from rise_store.signature import EstimatorConfig, SignatureEncoder, load_model
from tests.signature.conftest import SMALL, SaveModel


@pytest.mark.parametrize("token", [512, -1, 2**40])
def test_a_token_id_beyond_the_head_is_refused(token: int, encoder: SignatureEncoder) -> None:
    reason = f"token id {token} is beyond the LM head, which has rows 0 to 511"
    with pytest.raises(InputError, match=rf"^chunk 1: {reason}$"):
        encoder.encode_token_ids([[1, 2], [1, token, 2]])
    assert encoder.unencodable([[1, 2], [1, token, 2]]) == reason


def test_a_chunk_of_one_token_is_refused(encoder: SignatureEncoder) -> None:
    with pytest.raises(InputError, match=r"^chunk 1: fewer than 2 tokens$"):
        encoder.encode_token_ids([[1, 2], [1]])
    assert encoder.unencodable([]) == "fewer than 2 tokens"
    assert encoder.unencodable([[1, 2]]) is None


@pytest.mark.parametrize("loss_start", [3, 4, [1, 3]])
def test_a_loss_start_beyond_the_end_is_refused(loss_start: int | list[int], encoder: SignatureEncoder) -> None:
    with pytest.raises(InputError, match=r"^chunk 1: loss_start \d leaves none of its 3 tokens to predict$"):
        encoder.encode_token_ids([[1, 2, 3, 4, 5], [1, 2, 3]], loss_start)


def test_the_values_of_loss_start_must_be_as_many_as_the_chunks(encoder: SignatureEncoder) -> None:
    with pytest.raises(InputError, match="2 values of loss_start for 1 chunks"):
        encoder.encode_token_ids([[1, 2, 3]], [1, 1])


@pytest.mark.parametrize("vocabulary", [509, 9001])  # without and with the fast selection of the support
@pytest.mark.parametrize("parameter", ["model.norm.weight", "lm_head.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_become_not_finite_raise_instead_of_a_signature(
    value: float, parameter: str, vocabulary: int, save_model: SaveModel
) -> None:
    loaded = load_model(save_model("llama", vocabulary), device="cpu")
    encoder = SignatureEncoder(loaded, SMALL)
    loaded.model.get_parameter(parameter).data[7] = value
    with pytest.raises(SignatureError, match="gave NaN or Inf"):
        encoder.encode_token_ids([[1, 2, 3, 4], [5, 6]])


@pytest.mark.parametrize("parameter", ["model.layers.0.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"])
@pytest.mark.parametrize("vocabulary", [509, 9001])
def test_a_checkpoint_with_nan_gives_no_signature(parameter: str, vocabulary: int, save_model: SaveModel) -> None:
    """It is refused when it is loaded or, at the latest, when it is used."""
    loaded = load_model(save_model("llama", vocabulary), device="cpu")
    loaded.model.get_parameter(parameter).data[7] = float("nan")
    with pytest.raises(RiseStoreError, match="NaN"):
        SignatureEncoder(loaded, SMALL).encode_token_ids([[1, 2, 3, 4], [5, 6]])


def test_overflow_of_float16_raises_instead_of_a_signature(tiny_model: Path) -> None:
    loaded = load_model(tiny_model, dtype="float16", device="cpu")
    encoder = SignatureEncoder(loaded, SMALL)
    with torch.inference_mode():
        loaded.model.get_output_embeddings().weight.mul_(60_000)
    with pytest.raises(SignatureError, match="gave NaN or Inf; float16 is too narrow for it: use float32 or bfloat16"):
        encoder.encode_token_ids([[1, 2, 3, 4]])


def test_an_empty_signature_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match="the signature would be empty"):
        EstimatorConfig(lambda_rh=0, lambda_gh=0)
