"""Signatures of the published estimator: every case, every configuration, every model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from rise_store.records import Query
from rise_store.signature import EstimatorConfig, SignatureEncoder, average_chunks
from rise_store.signature.windows import chunk_windows
from tests.signature import reference
from tests.signature.architectures import head_inputs

MODELS = {"gpt_neox": None, "llama_tied": None, "gemma2_softcap": 5.0}  # with their soft-capping
CONFIGS = ["default", "small", "tau1", "residual", "cap16"]
CASES = ["len2", "len7", "len256", "masked", "masked_last", "long700"]


@pytest.fixture(scope="session")
def golden(shared: Path) -> Any:
    return json.loads((shared / "golden" / "cases.json").read_text())


def estimator(published: dict[str, Any]) -> EstimatorConfig:
    """A configuration under our names for the settings."""
    return EstimatorConfig(
        tau=published["tau"],
        top_p=published["cum"],
        top_k=published["cap"],
        min_top_k=published["minL"],
        seed=published["seed"],
        kr=published["Kr"],
        kh=published["Kh"],
        kg=published["Kg"],
        lambda_rh=published["lr"],
        lambda_gh=published["lg"],
        position_weighting=published.get("weighting", "uniform"),
    )


def test_no_case_or_configuration_is_left_out(golden: Any) -> None:
    assert list(golden["configs"]) == CONFIGS
    assert [case["name"] for case in golden["cases"]] == CASES


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("model", MODELS)
def test_signatures_equal_the_published_ones(model: str, config: str, golden: Any, shared: Path) -> None:
    settings = estimator(golden["configs"][config])
    encoder = SignatureEncoder.from_pretrained(shared / "golden" / model, settings, device="cpu")
    expected = np.load(shared / "golden" / model / "expected.npz")
    for case in golden["cases"]:
        if "tokens" in case:
            assert chunk_windows(case["tokens"], settings) == case["chunks"]
        encoded = encoder.encode_token_ids(case["chunks"], case.get("loss_start"))
        signature = average_chunks(encoded, np.array([len(case["chunks"])]))[0]
        assert reference.cosine(signature, expected[f"{config}/{case['name']}"]) >= 0.9999, case["name"]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("model", MODELS)
def test_the_reference_of_these_tests_equals_the_published_signatures(
    model: str, config: str, golden: Any, shared: Path
) -> None:
    """In float64: `long700` of llama_tied parts from the published float32 by 2e-4, where a sketch cancels."""
    settings = estimator(golden["configs"][config])
    settings = reference.ReferenceConfig(
        tau=settings.tau,
        top_k=settings.top_k,
        cutoff=settings.top_p,
        min_slots=settings.min_top_k,
        k_r=settings.kr,
        k_h=settings.kh,
        k_g=settings.kg,
        lambda_rh=settings.lambda_rh,
        lambda_gh=settings.lambda_gh,
        seed=settings.seed,
        weighting=settings.position_weighting,
    )
    loaded: Any = AutoModelForCausalLM.from_pretrained(shared / "golden" / model, dtype=torch.float32).eval().double()
    weight = loaded.get_output_embeddings().weight.detach().numpy()
    cap = MODELS[model]
    expected = np.load(shared / "golden" / model / "expected.npz")
    for case in golden["cases"]:
        if case["name"] == "long700":
            continue
        (chunk,) = case["chunks"]
        signature = reference.chunk_signature(
            head_inputs(loaded, chunk)[0],
            weight,
            None,
            lambda z: z if cap is None else cap * np.tanh(z / cap),
            chunk,
            case.get("loss_start", 1),
            settings,
        )
        signature = reference.example_signature([signature])
        assert reference.cosine(signature, expected[f"{config}/{case['name']}"]) >= 0.9999, case["name"]


@pytest.fixture(scope="session")
def stories(shared: Path) -> tuple[SignatureEncoder, Any, Any]:
    """A real model of 260,000 parameters: its encoder, the texts, and their published signatures."""
    folder = shared / "golden"
    encoder = SignatureEncoder.from_pretrained(shared / "models" / "stories260k", device="cpu")
    return encoder, json.loads((folder / "stories260k.json").read_text()), np.load(folder / "stories260k.npz")


def test_texts_of_a_real_model_equal_the_published_ones(stories: tuple[SignatureEncoder, Any, Any]) -> None:
    encoder, cases, expected = stories
    encoded = encoder.encode(cases["texts"])
    assert encoded.chunk_counts.tolist() == [1, 1, 3]
    for i, signature in enumerate(encoded.signatures):
        assert reference.cosine(signature, expected[f"text{i}"]) >= 0.9999


def test_a_masked_prompt_of_a_real_model_equals_the_published_one(stories: tuple[SignatureEncoder, Any, Any]) -> None:
    encoder, cases, expected = stories
    encoded = encoder.encode_queries([Query(**cases["masked"])])
    assert reference.cosine(encoded.signatures[0], expected["masked"]) >= 0.9999
