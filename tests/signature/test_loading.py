"""Models are loaded from a folder in any precision; settings that cannot be met are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rise_store.errors import ConfigError, ModelError
from rise_store.signature import LoadedModel, SignatureEncoder, load_model, load_tokenizer
from tests.conftest import STORY
from tests.signature.architectures import ARCHITECTURES
from tests.signature.conftest import SMALL, SaveModel

CHUNKS = [np.random.default_rng(0).integers(0, 500, length).tolist() for length in (64, 7, 33)]


def encode(folder: Path, dtype: str, weighting: str = "uniform") -> np.ndarray:
    config = SMALL.model_copy(update={"position_weighting": weighting})
    return SignatureEncoder.from_pretrained(folder, config, dtype=dtype, device="cpu").encode_token_ids(CHUNKS)


def test_a_folder_is_loaded_for_inference(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_model.parent)
    for name in (tiny_model, str(tiny_model), tiny_model.name):
        loaded = load_model(name, device="cpu")
        assert isinstance(loaded, LoadedModel)
        assert loaded.reference.name == str(tiny_model.resolve()), "from any working directory"
        assert loaded.reference.dtype == "float32"
        assert loaded.device == torch.device("cpu")
        assert not loaded.model.training
        assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
        assert loaded.tokenizer(STORY)["input_ids"] == load_tokenizer(name)(STORY)["input_ids"]


def test_loading_says_nothing(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu").encode([STORY * 100])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("weighting", ["uniform", "residual"])
@pytest.mark.parametrize(("dtype", "least"), [("float16", 0.999), ("bfloat16", 0.99)])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_half_precision_moves_signatures_little(
    name: str, dtype: str, least: float, weighting: str, save_model: SaveModel
) -> None:
    folder = save_model(name, 9001)
    cosines = (encode(folder, "float32", weighting) * encode(folder, dtype, weighting)).sum(axis=1)
    assert cosines.min() >= least


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_precision_loads_from_a_half_precision_checkpoint(name: str, stored: torch.dtype, tmp_path: Path) -> None:
    ARCHITECTURES[name].build(509, tied=False).to(stored).save_pretrained(tmp_path)
    full = encode(tmp_path, "float32", "residual")
    for dtype, least in (("float16", 0.999), ("bfloat16", 0.95)):
        loaded = load_model(tmp_path, dtype=dtype, device="cpu")
        assert {parameter.dtype for parameter in loaded.model.parameters()} == {getattr(torch, dtype)}
        assert loaded.reference.dtype == dtype
        assert (full * encode(tmp_path, dtype, "residual")).sum(axis=1).min() >= least


def test_an_unknown_precision_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"^dtype 'int8' is none of float32, bfloat16, float16$"):
        load_model(tiny_model, dtype="int8", device="cpu")


@pytest.mark.parametrize("device", ["warp", "cpu:x", ""])
def test_an_unknown_device_is_refused(device: str, tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be used: .*; try cpu, cuda or mps"):
        load_model(tiny_model, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_this_machine_lacks_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="device 'cuda' cannot be used"):
        load_model(tiny_model, device="cuda")
    assert load_model(tiny_model, device="auto").device.type in {"cpu", "mps"}


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ModelError, match=str(missing)):
        load_model(missing, device="cpu")
    with pytest.raises(ModelError, match=r"there is no GGUF file at .*missing\.gguf"):
        load_model(tmp_path / "missing.gguf", device="cpu")


def test_a_folder_without_a_configuration_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "model.safetensors", tmp_path)
    with pytest.raises(ModelError, match="holds no model: it has no config"):
        load_model(tmp_path, device="cpu")


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage"])
def test_a_folder_without_readable_weights_is_refused(damage: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    weights = folder / "model.safetensors"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:1000] if damage == "cut" else b"garbage" * 100)
    with pytest.raises(ModelError, match="cannot load"):
        load_model(folder, device="cpu")


def test_a_model_without_a_tokenizer_encodes_token_ids_only(save_model: SaveModel) -> None:
    encoder = SignatureEncoder.from_pretrained(save_model("llama", 509), SMALL, device="cpu")
    assert encoder.tokenizer is None
    assert encoder.encode_token_ids(CHUNKS).shape == (3, encoder.dim)
    with pytest.raises(ModelError, match="came without a tokenizer; only token ids can be encoded"):
        encoder.encode([STORY])
    with pytest.raises(ModelError, match="came without a tokenizer"):
        encoder.chunks([STORY])
