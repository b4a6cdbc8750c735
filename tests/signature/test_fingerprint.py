"""The fingerprint of a space changes when signatures stop being comparable, and stays where they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from rise_store.signature import EstimatorConfig, SignatureEncoder
from tests.conftest import ROOT, STORY
from tests.signature.conftest import SMALL, SaveModel
from tests.tiny_models import word_tokenizer


def fingerprint(folder: Path, config: EstimatorConfig = SMALL, **options: Any) -> str:
    return SignatureEncoder.from_pretrained(folder, config, device="cpu", **options).fingerprint


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
def test_every_precision_of_a_checkpoint_shares_it(stored: torch.dtype, save_model: SaveModel, tmp_path: Path) -> None:
    AutoModelForCausalLM.from_pretrained(save_model("llama", 9001)).to(stored).save_pretrained(tmp_path)
    assert len({fingerprint(tmp_path, dtype=dtype) for dtype in ("float32", "bfloat16", "float16")}) == 1


def test_it_is_the_same_in_another_folder_and_another_process(tiny_model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    expected = fingerprint(tiny_model)
    assert len(expected) == 32
    assert fingerprint(copy) == expected
    code = (
        "import sys\n"
        "from rise_store.signature import EstimatorConfig, SignatureEncoder\n"
        "config = EstimatorConfig(kr=32, kh=16, kg=8)\n"
        "print(SignatureEncoder.from_pretrained(sys.argv[1], config, device='cpu').fingerprint)"
    )
    run = subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == expected


UNTOUCHED: dict[str, Callable[[SignatureEncoder, Path], str]] = {
    "length of queries": lambda encoder, folder: fingerprint(folder, SMALL.model_copy(update={"max_query_tokens": 9})),
    "batch size": lambda encoder, folder: fingerprint(folder, batch_tokens=10),
    "slots beyond the vocabulary": lambda encoder, folder: fingerprint(folder, SMALL.model_copy(update={"top_k": 999})),
    "seed of tables that are given": lambda encoder, folder: fingerprint(
        folder, SMALL.model_copy(update={"seed": 7}), tables=encoder.tables.arrays()
    ),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_it_does_not_change_with_what_leaves_stored_signatures_alone(
    name: str, encoder: SignatureEncoder, tiny_model: Path
) -> None:
    base = encoder
    if name == "slots beyond the vocabulary":
        base = SignatureEncoder.from_pretrained(tiny_model, SMALL.model_copy(update={"top_k": 512}), device="cpu")
    assert UNTOUCHED[name](encoder, tiny_model) == base.fingerprint


SETTINGS: dict[str, Any] = {
    "kr": 33,
    "kh": 17,
    "kg": 9,
    "lambda_rh": 0.9,
    "lambda_gh": 0.31,
    "tau": 0.11,
    "top_k": 255,
    "top_p": 0.93,
    "min_top_k": 5,
    "chunk_size": 255,
    "chunk_overlap": 49,
    "position_weighting": "residual",
    "seed": 43,
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_changes_with_every_setting_that_touches_stored_signatures(
    setting: str, encoder: SignatureEncoder, tiny_model: Path
) -> None:
    config = EstimatorConfig(**{**SMALL.model_dump(), setting: SETTINGS[setting]})
    assert fingerprint(tiny_model, config) != encoder.fingerprint


def test_every_setting_is_looked_at_here() -> None:
    assert {*SETTINGS, "max_query_tokens"} == set(EstimatorConfig.model_fields)


def test_it_changes_with_the_sketch_tables(encoder: SignatureEncoder, tiny_model: Path) -> None:
    for name in encoder.tables.arrays():
        arrays = encoder.tables.arrays()
        arrays[name] = arrays[name].copy()
        arrays[name][0] = -arrays[name][0] if name.endswith("sign") else (arrays[name][0] + 1) % 8
        assert fingerprint(tiny_model, tables=arrays) != encoder.fingerprint, name


def train(model: Any, trained: str, step: float) -> None:
    """Move the weights whose name holds `trained` by a share of their spread, as fine-tuning does."""
    generator = torch.Generator().manual_seed(0)
    touched = [parameter for name, parameter in model.named_parameters(remove_duplicate=False) if trained in name]
    assert touched
    for parameter in touched:
        spread = parameter.data.std() if parameter.dim() > 1 else 1.0
        parameter.data += step * spread * torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    ("trained", "step"),
    [
        ("lm_head", 0.01),
        ("model.embed_tokens", 0.01),
        ("model.norm", 0.01),
        ("layers", 0.01),
        ("layers.1.mlp.down_proj", 0.05),
        ("layers.0.self_attn.q_proj", 0.05),
        ("layers.0.self_attn.q_proj", 0.01),
        ("", 0.003),
    ],
)
def test_it_changes_with_the_weights(
    trained: str, step: float, tied: bool, save_model: SaveModel, tmp_path: Path
) -> None:
    folder = save_model("llama", 9001, tied=tied)
    model = AutoModelForCausalLM.from_pretrained(folder)
    train(model, trained, step)
    model.save_pretrained(tmp_path)
    for dtype in ("float32", "bfloat16"):
        assert fingerprint(tmp_path, dtype=dtype) != fingerprint(folder, dtype=dtype)


def test_it_changes_with_weights_that_lie_far_into_a_matrix(save_model: SaveModel, tmp_path: Path) -> None:
    """Embeddings of added words, say, come last."""
    model = AutoModelForCausalLM.from_pretrained(save_model("llama", 9001))
    model.model.embed_tokens.weight.data[4500:] *= 2
    model.save_pretrained(tmp_path)
    assert fingerprint(tmp_path) != fingerprint(save_model("llama", 9001))


def test_it_changes_with_the_order_of_layers(save_model: SaveModel, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save_model("llama", 509))
    first, second = model.model.layers
    model.model.layers = nn.ModuleList([second, first])
    model.save_pretrained(tmp_path)
    assert fingerprint(tmp_path) != fingerprint(save_model("llama", 509))


@pytest.mark.parametrize(
    "change",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}},
        {"hidden_act": "gelu"},
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16},
        {"rms_norm_eps": 0.1},
    ],
    ids=["rotary base", "rotary scaling", "activation", "heads", "epsilon"],
)
def test_it_changes_with_a_configuration_that_gives_other_hidden_states(
    change: dict[str, Any], save_model: SaveModel, tmp_path: Path
) -> None:
    """The same weights under another configuration make another model: long-context variants are such."""
    folder = tmp_path / "model"
    shutil.copytree(save_model("llama", 509), folder)
    before = SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    after = SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")
    chunk = [list(range(5, 60))]
    assert float((before.encode_token_ids(chunk) * after.encode_token_ids(chunk)).sum()) < 0.95
    assert after.fingerprint != before.fingerprint


def test_it_changes_with_the_tokenizer(tiny_model: Path, tmp_path: Path) -> None:
    fingerprints = {fingerprint(tiny_model)}
    for name in ("none", "smaller", "without special tokens", "other merges"):
        folder = tmp_path / name
        shutil.copytree(tiny_model, folder)
        for file in folder.glob("*token*"):
            file.unlink()
        if name == "smaller":
            word_tokenizer([STORY] * 4, 300).save_pretrained(folder)
        elif name == "other merges":
            word_tokenizer(["naïve café café café", "the readout influence readout"], 270).save_pretrained(folder)
        elif name == "without special tokens":
            tokenizer = word_tokenizer([STORY] * 4)
            tokenizer.backend_tokenizer.post_processor = None
            tokenizer.save_pretrained(folder)
        fingerprints.add(fingerprint(folder))
    assert len(fingerprints) == 5
