"""Signatures of every architecture agree with the literal float64 reference.

Uniform weighting normalises the error sketch of each position, however short: where target and prediction fall into
one bucket with one sign, or where the model is certain and right, the sketch cancels to the rounding of float32, and
that rounding decides its direction. So the chunks here are chosen such that no position is of this kind.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from rise_store.signature import EstimatorConfig, SignatureEncoder
from tests.signature import reference
from tests.signature.architectures import ARCHITECTURES, Architecture, head_inputs
from tests.signature.conftest import SaveModel
from tests.signature.reference import ReferenceConfig

BEYOND_BLOCKS = 9001  # above 32 * 256, where the fast selection of the support runs; no multiple of 32
WHOLE_BLOCKS = 8448  # the same, a multiple of 32
WITHIN_BLOCKS = 509

SETTINGS = {
    "tau 0.1": ReferenceConfig(k_r=32, k_h=16, k_g=8),
    "tau 1": ReferenceConfig(k_r=32, k_h=16, k_g=8, tau=1.0, lambda_rh=0.5, lambda_gh=1.0, seed=7),
    "residual": ReferenceConfig(k_r=24, k_h=8, k_g=12, weighting="residual", min_slots=1),
    "surprisal": ReferenceConfig(k_r=24, k_h=8, k_g=12, weighting="surprisal", top_k=40, tau=0.5),
    "few slots": ReferenceConfig(k_r=24, k_h=8, k_g=12, tau=1.0, top_k=11, cutoff=0.97, min_slots=6),
}


def estimator(config: ReferenceConfig) -> EstimatorConfig:
    return EstimatorConfig(
        kr=config.k_r,
        kh=config.k_h,
        kg=config.k_g,
        lambda_rh=config.lambda_rh,
        lambda_gh=config.lambda_gh,
        tau=config.tau,
        top_k=config.top_k,
        top_p=config.cutoff,
        min_top_k=config.min_slots,
        position_weighting=config.weighting,
        seed=config.seed,
    )


class Truth:
    """A model in float64, and the reference signatures of its chunks."""

    def __init__(self, folder: Path, architecture: Architecture) -> None:
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        if architecture.name == "mixtral":
            model.set_experts_implementation("eager")  # the default knows no float64
        self.model = model.double()
        head = self.model.get_output_embeddings()
        self.weight = head.weight.detach().numpy()
        self.bias = None if head.bias is None else head.bias.detach().numpy()
        self.transform = architecture.transform

    def signature(self, chunk: list[int], config: ReferenceConfig) -> np.ndarray:
        hidden, _ = head_inputs(self.model, chunk)
        return reference.chunk_signature(hidden, self.weight, self.bias, self.transform, chunk, 1, config)

    def is_conditioned(self, chunk: list[int], config: ReferenceConfig) -> bool:
        """Whether no error sketch cancels to the rounding of float32."""
        _, logits = head_inputs(self.model, chunk)
        table = reference.draw_table(logits.shape[1], config.k_r, config.seed + 2)
        pairs = zip(logits[:-1], chunk[1:], strict=True)
        residuals = (reference.reference_residual(z / config.tau, target, config) for z, target in pairs)
        return all(np.linalg.norm(table.sketch(r)) > 1e-3 for r in residuals)

    def chunk(self, length: int, config: ReferenceConfig) -> list[int]:
        """The first random chunk whose every position is conditioned."""
        for seed in itertools.count():
            generator = torch.Generator().manual_seed(seed)
            chunk: list[int] = torch.randint(0, len(self.weight), (length,), generator=generator).tolist()
            if config.weighting == "residual" or self.is_conditioned(chunk, config):
                return chunk
        raise AssertionError


@pytest.mark.parametrize(("vocabulary", "tied"), [(BEYOND_BLOCKS, False), (WHOLE_BLOCKS, True)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_signatures_of_an_architecture_equal_the_reference(
    name: str, vocabulary: int, tied: bool, save_model: SaveModel, record_property: Any
) -> None:
    folder = save_model(name, vocabulary, tied=tied)
    truth = Truth(folder, ARCHITECTURES[name])
    for setting, config in SETTINGS.items():
        encoder = SignatureEncoder.from_pretrained(folder, estimator(config), device="cpu")
        chunks = [truth.chunk(length, config) for length in (23, 9)]
        for chunk, signature in zip(chunks, encoder.encode_token_ids(chunks), strict=True):
            agreement = reference.cosine(signature, truth.signature(chunk, config))
            record_property(f"1 - cosine, {setting}", 1 - agreement)
            assert agreement >= 0.9999, setting
            assert np.linalg.norm(signature) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", ["llama", "gemma2", "phi"])
def test_vocabularies_too_small_for_block_selection_equal_the_reference(name: str, save_model: SaveModel) -> None:
    folder = save_model(name, WITHIN_BLOCKS)
    truth = Truth(folder, ARCHITECTURES[name])
    for config in (SETTINGS["tau 0.1"], replace(SETTINGS["tau 1"], top_k=1000)):  # more slots than entries
        chunk = truth.chunk(23, config)
        encoder = SignatureEncoder.from_pretrained(folder, estimator(config), device="cpu")
        assert reference.cosine(encoder.encode_token_ids([chunk])[0], truth.signature(chunk, config)) >= 0.9999


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("tied", [False, True])
def test_the_models_here_are_what_they_should_be(name: str, tied: bool) -> None:
    """Biased, tied and transformed where they say so, and peaked, so that the tests above test something."""
    architecture = ARCHITECTURES[name]
    model = architecture.build(WITHIN_BLOCKS, tied=tied)
    head = model.get_output_embeddings()
    assert (head.weight is model.get_input_embeddings().weight) == tied
    assert (head.bias is not None and bool(head.bias.abs().min() > 0)) == (name == "phi")
    hidden, logits = head_inputs(model, [5, 300, 41, 7, 499])
    raw = hidden @ head.weight.detach().double().numpy().T
    raw += 0 if head.bias is None else head.bias.detach().double().numpy()
    np.testing.assert_allclose(architecture.transform(raw), logits, atol=1e-4)
    assert (np.abs(raw - logits).max() > 0.5) == (name in {"gemma2", "gemma3", "cohere", "granite"})
    assert np.abs(logits).max() > 2.0
