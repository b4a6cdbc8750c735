"""Another backbone of a model gives the hidden states that the model itself gives."""

from __future__ import annotations

import torch
from torch import Tensor

from rise_store.errors import ModelError
from rise_store.signature.backbone import Backbone
from rise_store.signature.readout import Readout

# Largest error of a position's logits, as a share of their spread, that other kernels explain: it adds up over the
# layers. Of a trained model of 5 layers, bfloat16 against float32 is 0.005; a shifted state 0.21, one without the final
# norm 0.25, without that norm's gain 0.53, a normalised one 1.1.
AGREEMENT_TOLERANCE = {torch.float32: 1e-2, torch.float16: 3e-2, torch.bfloat16: 1e-1}
AGREEING_POSITIONS = 0.9  # rounding sends a token to another expert now and then, so not all have to agree
AGREEMENT_LENGTHS = (13, 5, 29)  # tokens, unequal to catch positions that are shifted, swapped or padded


@torch.inference_mode()
def require_agreement(backbone: Backbone, reference: Backbone, readout: Readout, name: str) -> float:
    """Check that a backbone's hidden states, read out, give the logits of the model's own.

    Args:
        backbone: the one to check, run on one batch of chunks of different lengths.
        reference: the model's own, run on each chunk alone.
        readout: the model's LM head.
        name: of the model, for messages.

    Returns:
        The median of the positions' errors: the length of the difference of logits, as a share of their spread.

    Raises:
        ModelError: shapes differ, values are not finite, or more than a tenth of the positions differ by more than
            rounding explains.
    """
    rows = min(readout.vocabulary_size, backbone.input_rows)
    generator = torch.Generator().manual_seed(1)
    chunks = [torch.randint(0, rows, (n,), generator=generator).tolist() for n in AGREEMENT_LENGTHS]
    hidden = backbone.hidden_states(chunks)
    wanted = (len(chunks), max(AGREEMENT_LENGTHS), readout.hidden_size)
    if tuple(hidden.shape) != wanted:
        raise ModelError(
            f"model {name!r} fails its probe: hidden states of shape {tuple(hidden.shape)}, not {wanted}; its LM head "
            "consumes something else"
        )
    theirs = torch.cat([row[: len(chunk)] for row, chunk in zip(hidden, chunks, strict=True)])  # (T, D)
    if not torch.isfinite(theirs).all():
        raise ModelError(f"model {name!r} gives NaN or Inf in {readout.weight.dtype}; try another --dtype")
    ours = torch.cat([reference.hidden_states([chunk])[0] for chunk in chunks])  # (T, D)
    expected = _logits(readout, ours)  # (T, V)
    spread = (expected - expected.mean(dim=1, keepdim=True)).norm(dim=1).clamp_(min=1e-6)
    errors = (_logits(readout, theirs) - expected).norm(dim=1) / spread  # (T,)
    median = float(errors.median())
    tolerance = AGREEMENT_TOLERANCE[readout.weight.dtype]
    if int((errors <= tolerance).sum()) < AGREEING_POSITIONS * len(errors):
        raise ModelError(
            f"model {name!r} fails its probe: the hidden states of this backend give other logits than the model's own "
            f"in transformers, by {median:.3g} of their spread (at most {tolerance:g} is rounding)"
        )
    return median


def _logits(readout: Readout, hidden: Tensor) -> Tensor:
    """Logits as the model gives them: (T, D) -> (T, V) float32."""
    blocks = readout.blocks(hidden.to(readout.weight.device))
    return torch.cat([readout.transform(raw.to(torch.float32, copy=True)) for _, raw in blocks])
