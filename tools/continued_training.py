"""Continued pretraining of a small causal language model on some documents, and the loss of texts before and after."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from rise_store.errors import InputError
from rise_store.signature import load_model

Ids = list[int]
EVALUATED_TOKENS = 512  # of a text: what is beyond does not count
EVALUATED_AT_ONCE = 2_048  # tokens, padding included


@dataclass(frozen=True)
class Recipe:
    """How it is trained: AdamW on blocks of `length` tokens, cut from the documents one behind the other."""

    length: int = 256
    batch: int = 2
    steps: int | None = None  # None: each block once
    learning_rate: float = 1e-4
    warm_up: float = 0.1  # share of the steps; the rate then falls in a line to 0
    weight_decay: float = 0.01
    most_norm: float = 1.0  # of the gradient
    looks: int = 2  # evaluations, the last one at the end


@dataclass(frozen=True)
class Losses:
    """Negative log-likelihoods of n texts, in nats."""

    sums: npt.NDArray[np.float64]  # (n,)
    tokens: npt.NDArray[np.int64]  # (n,) predicted ones

    @property
    def mean(self) -> float:
        """By token."""
        return float(self.sums.sum() / self.tokens.sum())


@dataclass(frozen=True)
class Look:
    """One evaluation on the way."""

    step: int
    tokens: int  # trained on so far
    losses: Losses


class Trainee:
    """A model that is trained again and again from the same weights, which are kept in float32."""

    def __init__(self, model: str, *, device: str = "auto", dtype: str = "float32") -> None:
        """Load a model; with `dtype` bfloat16 or float16, products are made in it (autocast)."""
        loaded = load_model(model, dtype="float32", device=device)
        self._model = loaded.model
        self._device = loaded.device
        self._dtype = dtype
        self._tokenizer: Any = loaded.tokenizer
        self._start = {name: value.detach().to("cpu", copy=True) for name, value in self._model.state_dict().items()}

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """The token ids of texts."""
        ids: list[Ids] = self._tokenizer(list(texts), verbose=False)["input_ids"]
        return ids

    @property
    def end(self) -> Ids:
        """What stands behind a document: the end-of-text token, where the model has one."""
        end = self._tokenizer.eos_token_id
        return [] if end is None else [int(end)]

    @property
    def parameters(self) -> int:
        """How many it has."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    def reset(self) -> None:
        """Back to the weights it was loaded with."""
        self._model.load_state_dict(self._start)

    def losses(self, texts: Sequence[Ids]) -> Losses:
        """The loss of each text of at least 2 tokens, as the model is now."""
        self._model.eval()
        texts = [text[:EVALUATED_TOKENS] for text in texts]
        sums = np.zeros(len(texts))
        waiting = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        with torch.inference_mode():
            while waiting:
                most = len(texts[waiting[-1]])
                batch = [waiting.pop() for _ in range(min(len(waiting), max(1, EVALUATED_AT_ONCE // most)))]
                ids = torch.tensor([texts[n] + [0] * (most - len(texts[n])) for n in batch], device=self._device)
                counts = torch.arange(1, most) < torch.tensor([[len(texts[n])] for n in batch])  # (B, most - 1)
                sums[batch] = (self._token_losses(ids).cpu() * counts).double().sum(dim=1).numpy()
        return Losses(sums, np.array([len(text) - 1 for text in texts], dtype=np.int64))

    def train(
        self,
        documents: Sequence[Ids],
        recipe: Recipe,
        *,
        seed: int,
        held_out: Sequence[Ids],
        progress: Callable[[int, int], None] = lambda step, steps: None,
    ) -> list[Look]:
        """Train from the first weights on documents in an order of the seed, with looks at `held_out` on the way.

        Args:
            documents: token ids; at least one block of them.
            recipe: how.
            seed: of the order, and of dropout where the model has it.
            held_out: token ids of texts.
            progress: is told the step and how many there are.
        """
        self.reset()
        torch.manual_seed(seed)
        blocks = self._blocks(documents, recipe, random.Random(seed))
        steps = recipe.steps or max(1, len(blocks) // recipe.batch)
        looks = {round(steps * (number + 1) / recipe.looks) for number in range(recipe.looks)}
        self._model.requires_grad_(True)
        optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        scale = torch.amp.GradScaler(self._device.type, enabled=self._dtype == "float16")
        warm = max(1, round(steps * recipe.warm_up))
        found = []
        for step in range(1, steps + 1):
            self._model.train()
            rate = min(step / warm, (steps - step + 1) / max(1, steps - warm + 1))
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * rate
            start = (step - 1) * recipe.batch
            batch = [blocks[(start + number) % len(blocks)] for number in range(recipe.batch)]
            loss = self._token_losses(torch.tensor(batch, device=self._device)).mean()
            if not torch.isfinite(loss):
                raise InputError(
                    f"the loss is {loss.item()} in step {step}; lower --learning-rate, or use another --dtype"
                )
            scale.scale(loss).backward()  # type: ignore[no-untyped-call]
            scale.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), recipe.most_norm)
            scale.step(optimizer)
            scale.update()
            optimizer.zero_grad(set_to_none=True)
            progress(step, steps)
            if step in looks:
                found.append(Look(step, step * recipe.batch * recipe.length, self.losses(held_out)))
        self._model.requires_grad_(False)
        return found

    def _blocks(self, documents: Sequence[Ids], recipe: Recipe, order: random.Random) -> list[Ids]:
        shuffled = list(documents)
        order.shuffle(shuffled)
        stream = [token for document in shuffled for token in document]
        return [stream[at : at + recipe.length] for at in range(0, len(stream) - recipe.length + 1, recipe.length)]

    def _token_losses(self, ids: torch.Tensor) -> torch.Tensor:
        """Loss of each token but the first, (B, L) -> (B, L - 1); what follows a token has no effect on it."""
        with self._autocast():
            logits = self._model(input_ids=ids, use_cache=False).logits[:, :-1]
        return cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=getattr(torch, self._dtype))
