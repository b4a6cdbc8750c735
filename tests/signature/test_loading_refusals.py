"""Models whose signatures would be wrong are refused when the encoder is made, and code from them does not run."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertLMHeadModel,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaModel,
    T5Config,
    T5ForConditionalGeneration,
)

from rise_store.errors import ModelError
from rise_store.signature import SignatureEncoder, load_model
from tests.signature.architectures import GEMMA, randomize
from tests.signature.conftest import SMALL, SaveModel

TINY: dict[str, Any] = {
    "vocab_size": 509,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    config = T5Config(vocab_size=64, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is an encoder-decoder, not a causal language model"):
        load_model(tmp_path, device="cpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_that_looks_ahead_is_refused(dtype: str, tmp_path: Path) -> None:
    config = Gemma3TextConfig(**TINY, **GEMMA, use_bidirectional_attention=True)
    model = Gemma3ForCausalLM(config)
    randomize(model, 0)
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is not causal: changing a token moved the hidden states before it by"):
        SignatureEncoder.from_pretrained(tmp_path, SMALL, dtype=dtype, device="cpu")


def test_a_masked_language_model_is_refused(tmp_path: Path) -> None:
    model = BertLMHeadModel(BertConfig(**TINY, is_decoder=False))
    randomize(model, 0)
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError):
        SignatureEncoder.from_pretrained(tmp_path, SMALL, device="cpu")


def test_a_backbone_without_a_head_is_refused(tmp_path: Path) -> None:
    """Not loaded with a head of random weights, which transformers would only warn of."""
    LlamaModel(LlamaConfig(**TINY, num_key_value_heads=2)).save_pretrained(tmp_path)
    with pytest.raises(ModelError):
        SignatureEncoder.from_pretrained(tmp_path, SMALL, device="cpu")


class Wrapped(nn.Module):
    """A head that does something to its logits that no configuration tells."""

    def __init__(self, head: nn.Module, change: Any) -> None:
        super().__init__()
        self.weight = head.weight
        self.head = head
        self.change = change

    def forward(self, hidden: Tensor) -> Tensor:
        return self.change(self.head(hidden))


CHANGES = {
    "a factor": lambda z: 1.5 * z,
    "a factor close to 1": lambda z: 1.05 * z,
    "an offset of one entry": lambda z: z + torch.eye(z.shape[-1])[7],
    "a cap": lambda z: 10 * torch.tanh(z / 10),
    "a softmax": lambda z: z.log_softmax(dim=-1),
}


@pytest.mark.parametrize("vocabulary", [509, 9001])
@pytest.mark.parametrize("change", CHANGES)
def test_a_head_that_does_something_unknown_is_refused(change: str, vocabulary: int, save_model: SaveModel) -> None:
    loaded = load_model(save_model("llama", vocabulary), device="cpu")
    loaded.model.lm_head = Wrapped(loaded.model.lm_head, CHANGES[change])
    with pytest.raises(ModelError, match=r"fails its probe: .* differ from the model's own by (\S+) of the") as caught:
        SignatureEncoder(loaded, SMALL)
    error = float(re.search(r"by (\S+) of the", str(caught.value)).group(1))
    assert error == pytest.approx(1 / 3, rel=0.01) if change == "a factor" else error > 1e-4


def test_something_unknown_below_the_head_is_refused(save_model: SaveModel) -> None:
    loaded = load_model(save_model("llama", 509), device="cpu")
    loaded.model.lm_head.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 0.5,))
    with pytest.raises(ModelError, match="its head does something that rise_store does not know"):
        SignatureEncoder(loaded, SMALL)


def test_a_sound_model_passes_its_probe_to_rounding(save_model: SaveModel) -> None:
    for dtype, most in (("float32", 1e-6), ("bfloat16", 1e-2), ("float16", 2e-3)):
        encoder = SignatureEncoder.from_pretrained(save_model("gemma2", 9001), SMALL, dtype=dtype, device="cpu")
        assert encoder.probe_error <= most


REMOTE_CODE = """
from pathlib import Path
Path({trace!r}).write_text("ran")
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def folder_with_code(save_model: SaveModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of an unknown type that brings its own code; the code leaves the file `trace` when it runs."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder = tmp_path / "model"
    shutil.copytree(save_model("llama", 509), folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own"
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(REMOTE_CODE.format(trace=str(tmp_path / "trace")))
    return folder


def test_code_of_a_model_does_not_run_by_default(folder_with_code: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"trust.remote.code"):
        load_model(folder_with_code, device="cpu")
    assert not (tmp_path / "trace").exists()


def test_nobody_is_asked_whether_code_may_run(
    folder_with_code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input may hold the rows of a corpus: it answers no questions."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\n"))
    with pytest.raises(ModelError):
        load_model(folder_with_code, device="cpu")
    assert not (tmp_path / "trace").exists()


def test_code_of_a_model_runs_where_it_is_trusted(folder_with_code: Path, tmp_path: Path) -> None:
    loaded = load_model(folder_with_code, device="cpu", trust_remote_code=True)
    assert (tmp_path / "trace").exists()
    assert loaded.reference.trust_remote_code
    assert type(loaded.model).__name__ == "OwnModel"
