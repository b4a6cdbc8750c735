"""The backbone: token ids -> the hidden states that the LM head consumes; and the probe that proves it."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rise_store.errors import InputError, ModelError
from rise_store.signature.loading import LoadedModel
from rise_store.signature.readout import Readout
from rise_store.signature.transform import LogitTransform
from rise_store.signature.weights import weight_of

# Largest difference of logits that is rounding, as a share of the largest logit. Both sides run the same products in
# the same dtype, so a real mismatch (a missing scale, cap, bias or norm) is far larger.
PROBE_TOLERANCE = {torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 1.6e-2}
PROBE_LENGTHS = (13, 13)  # tokens


class Backbone(Protocol):
    """What the estimator needs of the transformer below the LM head."""

    input_rows: int  # token ids below this can be embedded

    def hidden_states(self, chunks: list[list[int]]) -> Tensor:
        """What the LM head consumes: B lists of token ids -> (B, L, D), L the longest, filled on the right.

        Raises:
            InputError: a chunk is longer than the model has positions.
        """
        ...


class TransformersBackbone:
    """Runs the transformer below the LM head of a model that is loaded here."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._model: Any = loaded.model
        self._device = loaded.device
        self._inner: Any = _below_head(loaded.model)
        embeddings = self._model.get_input_embeddings()
        self.input_rows = int(embeddings.weight.shape[0])  # token ids below this can be embedded
        self._filler = _filler_id(self._model.config)

    def hidden_states(self, chunks: list[list[int]]) -> Tensor:
        """Hidden states of a batch: B lists of token ids -> (B, L, D), L the longest.

        Shorter chunks are filled on the right and need no attention mask: attention is causal, so what follows
        cannot reach back (the probe checks it). Without a mask the fastest attention kernel applies.
        """
        length = max(map(len, chunks))
        ids = torch.tensor([chunk + [self._filler] * (length - len(chunk)) for chunk in chunks], device=self._device)
        try:
            output = self._inner(input_ids=ids, use_cache=False, return_dict=True)
        except IndexError as error:
            raise InputError(
                f"a chunk of {length} tokens is longer than the model has positions; choose a smaller chunk_size"
            ) from error
        hidden: Tensor = output.last_hidden_state  # (B, L, D)
        return hidden

    def model_logits(self, chunks: list[list[int]]) -> Tensor:
        """The model's own logits of equally long chunks, for the probe: (B, L, V)."""
        ids = torch.tensor(chunks, device=self._device)
        logits: Tensor = self._model(input_ids=ids, use_cache=False, return_dict=True).logits
        return logits


def make_readout(model: Any) -> Readout:
    """The readout of a model: its LM head and what the model applies behind it.

    Raises:
        ModelError: the model has no LM head.
    """
    head = model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is None:
        raise ModelError(f"{type(model).__name__} has no LM head; a causal language model is needed")
    weight = weight_of(head)
    assert weight is not None
    config = model.config
    text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
    return Readout(weight, weight_of(head, "bias"), LogitTransform.of(text_config))


@torch.inference_mode()
def probe(backbone: TransformersBackbone, readout: Readout, name: str) -> float:
    """Check that the readout reproduces the model's own logits, and that the model is causal.

    Returns:
        The largest difference of a logit, as a share of the largest logit.

    Raises:
        ModelError: the logits differ by more than rounding, or a later token changes an earlier position.
    """
    v = min(readout.vocabulary_size, backbone.input_rows)
    generator = torch.Generator().manual_seed(0)
    chunks = [torch.randint(0, v, (n,), generator=generator).tolist() for n in PROBE_LENGTHS]
    hidden = backbone.hidden_states(chunks)  # (B, L, D)
    own = backbone.model_logits(chunks).flatten(0, 1).to(torch.float32)  # (B * L, V)
    if hidden.shape[-1] != readout.hidden_size or own.shape[-1] != readout.vocabulary_size:
        raise ModelError(
            f"model {name!r} fails its probe: hidden states of {hidden.shape[-1]} and logits of {own.shape[-1]} do not "
            f"fit an LM head of {readout.vocabulary_size} x {readout.hidden_size}"
        )
    if not (torch.isfinite(hidden).all() and torch.isfinite(own).all()):
        narrow = readout.weight.dtype == torch.float16
        advice = "float16 is too narrow for it: use float32 or bfloat16" if narrow else "its weights are damaged"
        raise ModelError(f"model {name!r} gives NaN or Inf; {advice}")
    tolerance = PROBE_TOLERANCE[readout.weight.dtype]
    largest = own.abs().amax().clamp_(min=1e-6)
    errors = []
    for rows, raw in readout.blocks(hidden.flatten(0, 1).to(readout.weight.device)):
        z = readout.transform(raw.to(torch.float32))
        errors.append(((z.to(own.device) - own[rows]).abs().amax() / largest).item())
    error = max(errors)
    if not error <= tolerance:
        raise ModelError(
            f"model {name!r} fails its probe: the readout's logits differ from the model's own by {error:.3g} of the "
            f"largest logit (at most {tolerance:g} is rounding); its head does something that rise_store does not know"
        )
    _check_causal(backbone, chunks, hidden, v, name, tolerance)
    return error


def _check_causal(
    backbone: TransformersBackbone, chunks: list[list[int]], hidden: Tensor, v: int, name: str, tolerance: float
) -> None:
    changed = [[*chunk[:-1], (chunk[-1] + 1) % v] for chunk in chunks]
    other = backbone.hidden_states(changed)  # (B, L, D)
    scale = max(hidden.abs().amax().item(), 1e-6)
    difference = (other - hidden)[:, :-1].abs().amax().item() / scale
    if not difference <= 4 * tolerance:
        raise ModelError(
            f"model {name!r} is not causal: changing a token moved the hidden states before it by {difference:.3g} of "
            "the largest; a causal language model is needed"
        )


def _below_head(model: Any) -> nn.Module:
    """The module whose last hidden state the LM head consumes."""
    inner = getattr(model, getattr(model, "base_model_prefix", ""), None)
    if not isinstance(inner, nn.Module):
        raise ModelError(f"{type(model).__name__} has no backbone below its head; a causal language model is needed")
    return inner


def _filler_id(config: Any) -> int:
    """A token id to fill short chunks with: not the padding id, at which some models look for a missing mask."""
    return 1 if getattr(config, "pad_token_id", None) == 0 else 0
