"""Gradients of losses as autograd gives them, the plain way: what methods are held against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.signature import QueryChunks


def mean_loss(model: LanguageModel, text: QueryChunks) -> Tensor:
    """The mean loss of the positions of a text that count, through the model's own logits."""
    losses = []
    for chunk, start in zip(text.chunks, text.loss_start, strict=True):
        ids = torch.tensor([chunk])
        logits = model.loaded.model(input_ids=ids).logits[0, start - 1 : -1]
        losses.append(F.cross_entropy(logits, ids[0, start:], reduction="none"))
    return torch.cat(losses).mean()


def full_gradients(model: LanguageModel, texts: list[QueryChunks]) -> list[list[Tensor]]:
    """The gradient of each text's mean loss, one tensor a parameter."""
    found = []
    with model.gradients():
        for text in texts:
            grads = torch.autograd.grad(mean_loss(model, text), model.parameters)
            found.append([grad.clone() for grad in grads])
    return found
