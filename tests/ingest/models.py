"""Tiny models with something about them, each a folder like any other model's; made from the tiny Llama."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

BODY: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def without_special_tokens(model: Path, folder: Path) -> Path:
    """The same model with a tokenizer that adds nothing, so that a text of one token has one token."""
    from tokenizers import processors

    shutil.copytree(model, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A")
    tokenizer.save_pretrained(folder)
    return folder


def with_short_head(model: Path, folder: Path, rows: int = 300) -> Path:
    """A Llama whose tokenizer has more entries than its head has rows."""
    config = transformers.LlamaConfig.from_pretrained(model)
    config.vocab_size = rows
    return save_beside_tokenizer(transformers.LlamaForCausalLM(config), model, folder)


def with_nan_at(model: Path, folder: Path, token: str | None) -> Path:
    """The same model with NaN in the embedding of one token, or in every weight for None."""
    llama = transformers.LlamaForCausalLM.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    with torch.no_grad():
        if token is None:
            for parameter in llama.parameters():
                parameter.fill_(float("nan"))
        else:
            llama.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(token)] = float("nan")
    return save_beside_tokenizer(llama, model, folder)


def encoder_decoder(model: Path, folder: Path) -> Path:
    """A T5."""
    config = transformers.T5Config(vocab_size=512, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return save_beside_tokenizer(transformers.T5ForConditionalGeneration(config), model, folder)


def looking_ahead(model: Path, folder: Path) -> Path:
    """A Gemma whose attention reaches later tokens, as that of embedding models does."""
    config = transformers.Gemma3TextConfig(
        **BODY, num_key_value_heads=2, head_dim=8, use_bidirectional_attention=True, bos_token_id=1, eos_token_id=2
    )
    return save_beside_tokenizer(transformers.Gemma3ForCausalLM(config), model, folder)


def with_unknown_head(model: Path, folder: Path) -> Path:
    """A causal BERT: between its last hidden state and its unembedding stands a layer of its own."""
    return save_beside_tokenizer(
        transformers.BertLMHeadModel(transformers.BertConfig(**BODY, is_decoder=True)), model, folder
    )


def without_head(model: Path, folder: Path) -> Path:
    """A Llama backbone alone: its checkpoint has no LM head."""
    return save_beside_tokenizer(transformers.LlamaModel.from_pretrained(model), model, folder)


def cut_off(model: Path, folder: Path) -> Path:
    """The same model with half of its weights file."""
    shutil.copytree(model, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    return folder


def save_beside_tokenizer(network: Any, model: Path, folder: Path) -> Path:
    network.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model / file, folder / file)
    return folder


UNUSABLE: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "encoder_decoder": (encoder_decoder, "not a causal language model"),
    "looking_ahead": (looking_ahead, "is not causal"),
    "unknown_head": (with_unknown_head, r"fails its probe: .* differ from the model's own by [\d.]+ of the largest"),
    "without_head": (without_head, "head"),
    "cut_off": (cut_off, "cannot load"),
    "all_nan": (lambda model, folder: with_nan_at(model, folder, None), "NaN"),
}
"""Name -> how to make a model that must be refused, and what the error must say."""
