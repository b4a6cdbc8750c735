"""Models that do not fit into memory: spread over devices and disk, their signatures are the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from rise_store.errors import ConfigError
from rise_store.signature import EstimatorConfig, SignatureEncoder, load_model
from tests.signature.conftest import SMALL, SaveModel

pytest.importorskip("accelerate")

CHUNKS = [np.random.default_rng(0).integers(0, 500, length).tolist() for length in (64, 7, 33)]
IN_MEMORY = {"": "cpu"}
LAYERS_ON_DISK = {
    "model.embed_tokens": "cpu",
    "model.rotary_emb": "cpu",
    "model.layers.0": "cpu",
    "model.layers.1": "disk",
    "model.norm": "cpu",
    "lm_head": "cpu",
}
ENDS_ON_DISK = LAYERS_ON_DISK | {"model.embed_tokens": "disk", "model.norm": "disk", "lm_head": "disk"}
ALL_ON_DISK = dict.fromkeys(LAYERS_ON_DISK, "disk")


def spread(folder: Path, device_map: Any, offload: Path, **options: Any) -> SignatureEncoder:
    return SignatureEncoder.from_pretrained(
        folder, SMALL, device="cpu", device_map=device_map, offload_folder=offload, **options
    )


@pytest.mark.parametrize("vocabulary", [509, 9001])
@pytest.mark.parametrize("device_map", [IN_MEMORY, LAYERS_ON_DISK, ENDS_ON_DISK, "auto"])
def test_signatures_of_an_offloaded_model_are_the_same(
    device_map: Any, vocabulary: int, save_model: SaveModel, tmp_path: Path
) -> None:
    folder = save_model("llama", vocabulary)
    plain = SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")
    offloaded = spread(folder, device_map, tmp_path / "offload")
    cosines = (plain.encode_token_ids(CHUNKS) * offloaded.encode_token_ids(CHUNKS)).sum(axis=1)
    assert cosines.min() >= 0.99999
    assert offloaded.fingerprint == plain.fingerprint


def test_a_model_may_lie_on_disk_as_a_whole(save_model: SaveModel, tmp_path: Path) -> None:
    folder = save_model("llama", 9001)
    plain = SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")
    offloaded = spread(folder, ALL_ON_DISK, tmp_path / "offload")
    cosines = (plain.encode_token_ids(CHUNKS) * offloaded.encode_token_ids(CHUNKS)).sum(axis=1)
    assert cosines.min() >= 0.99999
    assert offloaded.fingerprint == plain.fingerprint


def test_a_tied_head_on_disk_is_read(save_model: SaveModel, tmp_path: Path) -> None:
    folder = save_model("llama", 8448, tied=True)
    plain = SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")
    offloaded = spread(folder, ENDS_ON_DISK, tmp_path / "offload")
    cosines = (plain.encode_token_ids(CHUNKS) * offloaded.encode_token_ids(CHUNKS)).sum(axis=1)
    assert cosines.min() >= 0.99999
    assert offloaded.fingerprint == plain.fingerprint


def test_a_biased_head_on_disk_is_read(save_model: SaveModel, tmp_path: Path) -> None:
    folder = save_model("phi", 9001)
    device_map = dict.fromkeys(("model.embed_tokens", "model.rotary_emb", "model.final_layernorm"), "cpu")
    device_map |= {"model.layers": "disk", "lm_head": "disk"}
    plain = SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")
    offloaded = spread(folder, device_map, tmp_path / "offload")
    cosines = (plain.encode_token_ids(CHUNKS) * offloaded.encode_token_ids(CHUNKS)).sum(axis=1)
    assert cosines.min() >= 0.99999


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_an_offloaded_checkpoint_of_bfloat16_has_one_fingerprint_in_any_precision(
    dtype: str, save_model: SaveModel, tmp_path: Path
) -> None:
    folder = tmp_path / "bfloat16"
    AutoModelForCausalLM.from_pretrained(save_model("llama", 509)).to(torch.bfloat16).save_pretrained(folder)
    plain = SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")
    assert spread(folder, LAYERS_ON_DISK, tmp_path / "offload", dtype=dtype).fingerprint == plain.fingerprint


def test_a_map_without_its_package_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ConfigError, match=r"need the package accelerate: pip install 'rise-store\[offload\]'"):
        load_model(tiny_model, device="cpu", device_map="auto")


def test_the_estimator_is_the_published_one_by_default(save_model: SaveModel, tmp_path: Path) -> None:
    encoder = SignatureEncoder.from_pretrained(save_model("llama", 509), device="cpu", device_map={"": "cpu"})
    assert encoder.config == EstimatorConfig()
    assert encoder.dim == 24_576
