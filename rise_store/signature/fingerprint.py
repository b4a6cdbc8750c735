"""The space fingerprint: changes if and only if signatures stop being comparable."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from rise_store.digests import json_sha256
from rise_store.records import EstimatorConfig
from rise_store.signature.loading import weight_of
from rise_store.signature.readout import Readout
from rise_store.signature.sketch import SketchTables

FINGERPRINT_VERSION = 1
PROBED_ROWS = 512  # rows of the unembedding
PROBED_VALUES = 4096  # values of each backbone parameter
PROBE_TEXT = "Influence is read at the readout: 3.14, naïve café, 日本語, \n\tdef f(x): return x**2 🙂"


def model_fingerprint(model: Any, tokenizer: Any | None, readout: Readout) -> str:
    """Digest of what makes a model's signatures its own: architecture, dimensions, weights, tokenizer.

    Weights are probed by extremes (the largest and smallest value of each probed row or parameter) rounded to
    bfloat16. Rounding keeps order, so a checkpoint loaded in float32 and in bfloat16 agrees to the bit.
    """
    v = readout.vocabulary_size
    rows = torch.linspace(0, v - 1, min(v, PROBED_ROWS), dtype=torch.float64).long().to(readout.weight.device)
    text_config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    return json_sha256(
        {
            "version": FINGERPRINT_VERSION,
            "architecture": type(model).__name__,
            "hidden_size": readout.hidden_size,
            "vocabulary_size": v,
            "layers": getattr(text_config, "num_hidden_layers", None),
            "logit_scale": readout.transform.scale,
            "logit_cap": readout.transform.cap,
            "unembedding": _extremes(readout.weight[rows]),
            "backbone": _backbone_probe(model),
            "tokenizer": tokenizer_fingerprint(tokenizer),
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


def _backbone_probe(model: Any) -> str:
    """Extremes of the leading values of every parameter, without names: those change between releases."""
    parts = []
    for module in model.modules():
        for name, _ in module.named_parameters(recurse=False):
            values = weight_of(module, name)
            if values is not None and values.is_floating_point():
                parts.append(_extremes(values.flatten()[:PROBED_VALUES].unsqueeze(0)))
    return json_sha256(sorted(set(parts)))


def _extremes(rows: Tensor) -> str:
    """Hexadecimal bits of the largest and smallest value of each row, as bfloat16: (n, m) -> 2 n values."""
    extremes = torch.cat([rows.amax(dim=1), rows.amin(dim=1)]).to(torch.bfloat16)
    bits: bytes = extremes.cpu().contiguous().view(torch.int16).numpy().tobytes()
    return hashlib.sha256(bits).hexdigest()
