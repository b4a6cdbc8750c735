"""A GPU computes the signatures of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rise_store.signature import EstimatorConfig, SignatureEncoder
from tests.signature.conftest import SaveModel

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize(("tau", "weighting"), [(0.1, "uniform"), (1.0, "uniform"), (0.1, "residual")])
@pytest.mark.parametrize("vocabulary", [509, 9001])
@pytest.mark.parametrize("name", ["llama", "gemma2", "phi"])
def test_float32_signatures_agree_between_cpu_and_cuda(
    name: str, vocabulary: int, tau: float, weighting: str, save_model: SaveModel
) -> None:
    config = EstimatorConfig(kr=32, kh=16, kg=8, tau=tau, position_weighting=weighting)
    rng = np.random.default_rng(0)
    chunks = [rng.integers(0, 500, length).tolist() for length in (256, 2, 31, 120)]
    cpu, cuda = (
        SignatureEncoder.from_pretrained(save_model(name, vocabulary), config, device=device)
        for device in ("cpu", "cuda")
    )
    assert cuda.fingerprint == cpu.fingerprint
    cosines = (cpu.encode_token_ids(chunks) * cuda.encode_token_ids(chunks)).sum(axis=1)
    assert cosines.min() >= (0.9999 if weighting == "residual" else 0.999)


def test_bfloat16_on_cuda_is_close_to_bfloat16_on_cpu(save_model: SaveModel) -> None:
    config = EstimatorConfig(kr=32, kh=16, kg=8, position_weighting="residual")
    chunks = [np.random.default_rng(0).integers(0, 500, 256).tolist()]
    cpu, cuda = (
        SignatureEncoder.from_pretrained(save_model("llama", 9001), config, dtype="bfloat16", device=device)
        for device in ("cpu", "cuda")
    )
    assert (cpu.encode_token_ids(chunks) * cuda.encode_token_ids(chunks)).sum() >= 0.9
