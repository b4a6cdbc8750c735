"""Architectures beyond those that are held against the reference: recurrent, with biases of attention, projected.

Their readout reproduces their logits, and a chunk is not moved by what fills its batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from rise_store.signature import SignatureEncoder
from tests.signature.architectures import COMMON, GROUPED, HEADS
from tests.signature.conftest import SMALL

MAMBA: dict[str, Any] = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}
FURTHER: dict[str, dict[str, Any]] = {
    "BloomConfig": {},  # linear biases instead of positions
    "Cohere2Config": GROUPED,
    "FalconH1Config": GROUPED | MAMBA | {"lm_head_multiplier": 0.3, "embedding_multiplier": 2.0},
    "GPTJConfig": {"rotary_dim": 4},  # a biased head
    "GptOssConfig": HEADS | {"num_local_experts": 4, "num_experts_per_tok": 2},  # attention sinks
    "MambaConfig": {"state_size": 4},  # recurrent
    "MistralConfig": GROUPED | {"sliding_window": 16},
    "OPTConfig": {"ffn_dim": 48, "word_embed_proj_dim": 16},  # a head narrower than the backbone
    "Qwen3MoeConfig": GROUPED
    | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8},
    "RwkvConfig": {"attention_hidden_size": 32},
}


@pytest.mark.parametrize("padding", [None, 0, 7])
@pytest.mark.parametrize("name", FURTHER)
def test_a_further_architecture_is_read(name: str, padding: int | None, tmp_path: Path) -> None:
    """Whichever token id the model calls padding: batches are filled with another."""
    config = getattr(transformers, name)(**{**COMMON, "vocab_size": 509, "pad_token_id": padding, **FURTHER[name]})
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    encoder = SignatureEncoder.from_pretrained(tmp_path, SMALL, device="cpu", batch_tokens=100_000)
    assert encoder.probe_error <= 1e-6
    rng = np.random.default_rng(0)
    chunks = [rng.integers(0, 500, length).tolist() for length in (64, 7, 33, 2)]
    alone = np.concatenate([encoder.encode_token_ids([chunk]) for chunk in chunks])
    assert (alone * encoder.encode_token_ids(chunks)).sum(axis=1).min() >= 0.99999
