"""vLLM as the backbone: the same space, the same signatures; whatever else it gives is refused."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_store.errors import ConfigError, InputError, ModelError
from rise_store.records import Query
from rise_store.signature import EstimatorConfig, LoadedModel, SignatureEncoder, load_model
from tests.signature.conftest import SMALL, SaveModel
from tests.signature.vllm_stub import FAULTS, PoolerConfig, install_stub
from tests.tiny_models import save_tiny_llama

CHUNKS = [np.random.default_rng(0).integers(0, 500, length).tolist() for length in (64, 2, 33, 256)]
ROUNDED = 5e-5  # chunks of a text are rounded to float16, one way or the other


def both(folder: Path, config: EstimatorConfig = SMALL, **options: str) -> tuple[SignatureEncoder, SignatureEncoder]:
    """Encoders of one model: run by transformers, and by vLLM."""
    plain = SignatureEncoder.from_pretrained(folder, config, device="cpu", **options)
    return plain, SignatureEncoder.from_pretrained(folder, config, device="cpu", model_backend="vllm", **options)


@pytest.mark.parametrize("name", ["llama", "gemma2", "cohere", "granite", "gpt2", "mixtral"])
def test_signatures_are_those_of_transformers(
    name: str, save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stub(monkeypatch)
    plain, parallel = both(save_model(name, 509))
    assert parallel.fingerprint == plain.fingerprint
    assert parallel.space().model_dump(exclude={"created_at"}) == plain.space().model_dump(exclude={"created_at"})
    expected, got = plain.encode_token_ids(CHUNKS), parallel.encode_token_ids(CHUNKS)
    assert np.abs(expected - got).max() <= 1e-6
    assert (expected * got).sum(axis=1).min() >= 0.9999


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_crosses_without_loss(
    dtype: str, save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = install_stub(monkeypatch)
    plain, parallel = both(save_model("llama", 509), dtype=dtype)
    assert started.arguments[0]["dtype"] == dtype
    assert parallel.fingerprint == plain.fingerprint
    alone = np.concatenate([plain.encode_token_ids([chunk]) for chunk in CHUNKS])
    assert (alone * parallel.encode_token_ids(CHUNKS)).sum(axis=1).min() >= 0.9999


def test_texts_and_queries_go_the_same_way(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stub(monkeypatch)
    plain, parallel = both(tiny_model)
    texts = ["The dog found a key. " * 40, "Lily asked her mother."]
    np.testing.assert_allclose(parallel.encode(texts).signatures, plain.encode(texts).signatures, atol=ROUNDED)
    queries = [Query(prompt="What did it open?", completion=" A box.")]
    expected, got = plain.encode_queries(queries).signatures, parallel.encode_queries(queries).signatures
    np.testing.assert_allclose(got, expected, atol=ROUNDED)


def test_chunks_of_all_lengths_go_to_vllm_together(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = install_stub(monkeypatch)
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", model_backend="vllm")
    started.batches.clear()
    encoder.encode_token_ids(CHUNKS)
    assert [sorted(batch) for batch in started.batches] == [[2, 33, 64, 256]]


def test_the_engine_is_started_as_a_pooling_engine_without_normalisation(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = install_stub(monkeypatch)
    SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", model_backend="vllm", tensor_parallel_size=2)
    (arguments,) = started.arguments
    assert arguments["tensor_parallel_size"] == 2
    assert arguments["model"] == str(tiny_model.resolve())
    assert arguments["max_model_len"] == SMALL.max_query_tokens
    assert arguments["pooler_config"] == PoolerConfig("token_embed", tok_pooling_type="ALL", use_activation=False)
    assert not arguments["trust_remote_code"]
    assert os.environ["VLLM_LOGGING_STREAM"] == "ext://sys.stderr"  # standard output is for data


def test_a_longer_chunk_than_the_engine_has_positions_for_is_refused(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stub(monkeypatch)
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", model_backend="vllm")
    with pytest.raises(InputError, match=r"^a chunk of 513 tokens is longer than the 512 positions that vLLM has"):
        encoder.encode_token_ids([[3] * 513])
    assert encoder.encode_token_ids([[3] * 512]).shape == (1, SMALL.dim)


@pytest.mark.parametrize("fault", FAULTS)
def test_other_values_than_the_states_below_the_head_are_refused(
    fault: str, save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stub(monkeypatch, fault)
    with pytest.raises(ModelError) as caught:
        SignatureEncoder.from_pretrained(save_model("llama", 509), SMALL, device="cpu", model_backend="vllm")
    assert "\n" not in str(caught.value)
    assert re.search("fails its probe|gives NaN|gave values of shape", str(caught.value))


def test_other_weights_are_refused(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stub(monkeypatch)
    other = save_tiny_llama(tmp_path / "other", ["A text."], seed=1)
    swapped = sys.modules["vllm"].LLM
    monkeypatch.setattr(sys.modules["vllm"], "LLM", lambda model, **options: swapped(str(other), **options))
    with pytest.raises(ModelError, match=r"fails its probe: the hidden states of this backend give other logits"):
        SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", model_backend="vllm")


def test_what_vllm_says_when_it_cannot_start_is_one_line(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stub(monkeypatch, failure=RuntimeError("\nEngine core initialization failed.\nSee above."))
    with pytest.raises(ModelError) as caught:
        SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", model_backend="vllm")
    assert str(caught.value) == (
        f"vLLM cannot run {tiny_model.resolve()}: Engine core initialization failed.; its own messages say more"
    )


def test_an_engine_that_dies_is_one_line(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stub(monkeypatch)
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", model_backend="vllm")

    def dead(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("EngineCore encountered an issue.\nSee stack trace.")

    monkeypatch.setattr(sys.modules["vllm"].LLM, "encode", dead)
    with pytest.raises(ModelError, match=r"^vLLM failed while it ran .*: EngineCore encountered an issue\.$"):
        encoder.encode_token_ids(CHUNKS)


def test_a_missing_package_says_what_to_install(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"needs the package vllm: pip install 'rise-store\[vllm\]'$"):
        SignatureEncoder.from_pretrained(tiny_model, SMALL, model_backend="vllm")


def test_a_release_without_what_is_needed_is_called_that(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stub(monkeypatch)
    monkeypatch.delattr(sys.modules["vllm.config"], "PoolerConfig")
    with pytest.raises(ConfigError, match=r"^the package vllm cannot be imported: cannot import .*; 0\.33 or later"):
        SignatureEncoder.from_pretrained(tiny_model, SMALL, model_backend="vllm")


def test_settings_that_contradict_are_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stub(monkeypatch)
    with pytest.raises(ConfigError, match="tensor parallelism needs vLLM"):
        SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", tensor_parallel_size=2)
    with pytest.raises(ConfigError, match="GGUF file; with vLLM name a hub model or a folder"):
        SignatureEncoder.from_pretrained("model.gguf", SMALL, model_backend="vllm")
    with pytest.raises(ConfigError, match="over 0 GPUs; it takes at least 1"):
        SignatureEncoder.from_pretrained(tiny_model, SMALL, model_backend="vllm", tensor_parallel_size=0)


def test_a_checkpoint_larger_than_memory_is_spread_while_vllm_starts(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate")
    install_stub(monkeypatch)
    plain, _ = both(tiny_model)
    places: list[object] = []

    def load(*arguments: Any, **options: Any) -> LoadedModel:
        loaded = load_model(*arguments, **options)
        places.extend(loaded.model.hf_device_map.values())
        return loaded

    monkeypatch.setattr("rise_store.signature.vllm_backbone.load_model", load)
    spread = SignatureEncoder.from_pretrained(
        tiny_model,
        SMALL,
        device="cpu",
        model_backend="vllm",
        device_map="auto",
        max_memory={"cpu": 60_000},
        offload_folder=tmp_path / "offload",
    )
    assert "disk" in places
    assert spread.fingerprint == plain.fingerprint
    np.testing.assert_allclose(spread.encode_token_ids(CHUNKS), plain.encode_token_ids(CHUNKS), atol=1e-6)
