"""The space fingerprint: changes if and only if signatures stop being comparable."""

from __future__ import annotations

from typing import Any

from rise_store.digests import json_sha256
from rise_store.records import EstimatorConfig
from rise_store.signature.loading import LoadedModel
from rise_store.signature.readout import Readout
from rise_store.signature.sketch import SketchTables

FINGERPRINT_VERSION = 1
PROBE_TEXT = "Influence is read at the readout: 3.14, naïve café, 日本語, \n\tdef f(x): return x**2 🙂"


# Settings that make another model of the same weights. A list rather than the whole configuration, which grows keys
# with every release of transformers.
SHAPING = (
    "attention_multiplier", "attn_logit_softcapping", "embedding_multiplier", "head_dim", "hidden_act",
    "hidden_activation", "activation_function", "layer_norm_eps", "layer_norm_epsilon", "layer_types", "norm_eps",
    "num_attention_heads", "num_experts_per_tok", "num_hidden_layers", "num_key_value_heads", "parallel_attn",
    "partial_rotary_factor", "query_pre_attn_scalar", "residual_multiplier", "rms_norm_eps", "rope_parameters",
    "rope_scaling", "rope_theta", "rotary_emb_base", "rotary_pct", "sliding_window", "use_parallel_residual",
)  # fmt: skip


def model_fingerprint(loaded: LoadedModel, readout: Readout) -> str:
    """Digest of what makes a model's signatures its own: architecture, dimensions, weights, tokenizer."""
    config: Any = loaded.model.config
    text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
    return json_sha256(
        {
            "version": FINGERPRINT_VERSION,
            "architecture": type(loaded.model).__name__,
            "hidden_size": readout.hidden_size,
            "vocabulary_size": readout.vocabulary_size,
            "config": {name: getattr(text_config, name) for name in SHAPING if getattr(text_config, name, None)},
            "logit_scale": readout.transform.scale,
            "logit_cap": readout.transform.cap,
            "weights": loaded.weights,
            "tokenizer": tokenizer_fingerprint(loaded.tokenizer),
        }
    )


def space_fingerprint(model: str, config: EstimatorConfig, tables: SketchTables, vocabulary_size: int) -> str:
    """Digest of a signature space, 32 hexadecimal digits.

    Settings that do not touch stored signatures (`max_query_tokens`; the seed, which acts through the tables) are
    left out; `top_k` counts as far as the vocabulary reaches.
    """
    estimator = config.model_dump(exclude={"max_query_tokens", "seed"})
    estimator["top_k"] = min(config.top_k, vocabulary_size)
    return json_sha256({"model": model, "estimator": estimator, "tables": tables.sha256})[:32]


def tokenizer_fingerprint(tokenizer: Any | None) -> str | None:
    """Digest of a tokenizer: its vocabulary, and how it splits a text with the special tokens that it adds."""
    if tokenizer is None:
        return None
    vocabulary = sorted((int(index), token) for token, index in tokenizer.get_vocab().items())
    return json_sha256({"vocabulary": vocabulary, "probe": tokenizer(PROBE_TEXT)["input_ids"]})
