"""A large vocabulary costs one bounded block of logits, never the logits of a batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rise_store.signature import readout
from rise_store.signature.readout import FEWEST_ROWS, LOGIT_BLOCK_BYTES, Readout
from rise_store.signature.transform import LogitTransform
from tests.conftest import ROOT

VOCABULARY = 262_144
TOKENS = 4096
LOGITS = VOCABULARY * TOKENS * 4  # bytes of all logits of the batch in float32: 4 GiB
BLOCK = max(LOGIT_BLOCK_BYTES["cpu"], FEWEST_ROWS * VOCABULARY * 4)  # what the Readout promises

MEASURE = """
import json, resource, sys
import torch
from rise_store.signature import EstimatorConfig, SignatureEncoder

torch.set_num_threads(1)
config = EstimatorConfig(kr=32, kh=16, kg=8)
encoder = SignatureEncoder.from_pretrained(sys.argv[1], config, device="cpu", batch_tokens=4096)
chunks = torch.randint(0, 262_144, (16, 256), generator=torch.Generator().manual_seed(0)).tolist()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
signatures = encoder.encode_token_ids(chunks)
print(json.dumps([before, peak(), len(signatures)]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units elsewhere")
def test_the_logits_of_a_batch_never_exist(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, cwd=ROOT, check=True
    )
    before, after, count = json.loads(run.stdout)
    assert count == 16
    assert after - before < LOGITS / 16, "the batch grew the process by a share of its logits"
    assert after - before < 4 * BLOCK, "but for a few times the promised block"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocabulary", [100, 50_000, VOCABULARY])
def test_a_block_of_logits_keeps_its_bound(vocabulary: int, dtype: torch.dtype) -> None:
    head = Readout(torch.zeros(vocabulary, 4, dtype=dtype), None, LogitTransform())
    size = head.block_rows * vocabulary * dtype.itemsize
    assert size <= max(readout.LOGIT_BLOCK_BYTES["cpu"], readout.FEWEST_ROWS * vocabulary * dtype.itemsize)
    assert head.block_rows >= readout.FEWEST_ROWS


def test_blocks_share_one_buffer_and_cover_every_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(readout.LOGIT_BLOCK_BYTES, "cpu", 1)
    generator = torch.Generator().manual_seed(0)
    weight, hidden = torch.randn(50, 4, generator=generator), torch.randn(77, 4, generator=generator)
    bias = torch.randn(50, generator=generator)
    head = Readout(weight, bias, LogitTransform())
    seen, buffers = [], set()
    for rows, logits in head.blocks(hidden):
        buffers.add(logits.data_ptr())
        seen.append(logits.clone())
        assert rows.stop - rows.start == len(logits) <= head.block_rows == FEWEST_ROWS
    assert len(buffers) == 1
    torch.testing.assert_close(torch.cat(seen), hidden @ weight.T + bias)


KEEP_KERNELS = """
import os, sys
from rise_store.signature import load_model
load_model(sys.argv[1], device="cpu")
print(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"])
"""


@pytest.mark.parametrize(("set_before", "kept"), [(None, "16"), ("200", "200")])
def test_kernels_of_past_shapes_are_not_hoarded_unless_the_environment_says_so(
    tiny_model: Path, set_before: str | None, kept: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ONEDNN_PRIMITIVE_CACHE_CAPACITY"}
    if set_before is not None:
        environment["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = set_before
    done = subprocess.run(
        [sys.executable, "-c", KEEP_KERNELS, str(tiny_model)],
        env=environment, capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.strip() == kept
