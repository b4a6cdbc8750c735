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
            "layers": getattr(text_config, "num_hidden_layers", None),
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
