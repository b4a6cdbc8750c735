"""The real vLLM gives the signatures of transformers; needs a CUDA device and the extra `vllm`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rise_store.signature import EstimatorConfig, SignatureEncoder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore"),  # vLLM's own
]

CONFIG = EstimatorConfig(kr=32, kh=16, kg=8, position_weighting="residual")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with heads of a size that attention kernels know."""
    pytest.importorskip("vllm")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.1,
    )
    path = tmp_path_factory.mktemp("llama-256")
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return path


def test_signatures_agree_with_transformers(folder: Path) -> None:
    chunks = [np.random.default_rng(0).integers(0, 4096, length).tolist() for length in (256, 2, 31, 120)]
    plain, parallel = (
        SignatureEncoder.from_pretrained(folder, CONFIG, dtype="bfloat16", device="cuda", model_backend=backend)
        for backend in ("transformers", "vllm")
    )
    assert parallel.fingerprint == plain.fingerprint
    cosines = (plain.encode_token_ids(chunks) * parallel.encode_token_ids(chunks)).sum(axis=1)
    assert cosines.min() >= 0.9
