"""The length of the loss gradient at the LM head is what autograd gives, and wrong answers make it long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rise_store.records import Query
from rise_store.signature import SignatureEncoder
from rise_store.signature import loss_gradient as module
from rise_store.signature.loss_gradient import loss_gradient
from rise_store.signature.readout import Readout
from rise_store.signature.transform import LogitTransform
from tests.tiny_models import save_tiny_llama


def by_autograd(weight: Tensor, bias: Tensor | None, transform: LogitTransform, hidden: Tensor, targets: Tensor) -> Any:
    own = weight.detach().clone().to(torch.float64).requires_grad_()
    logits = hidden.to(torch.float64) @ own.T
    logits = transform(logits if bias is None else logits + bias)
    loss = torch.nn.functional.cross_entropy(logits, targets)
    loss.backward()
    assert own.grad is not None
    return float(own.grad.square().sum()), float(loss.detach())


@pytest.mark.parametrize("slice_", [7, 50, 8192])
@pytest.mark.parametrize(
    "transform", [LogitTransform(), LogitTransform(scale=0.3), LogitTransform(cap=3.0), LogitTransform(2.0, 5.0)]
)
@pytest.mark.parametrize("biased", [False, True])
def test_as_autograd(slice_: int, transform: LogitTransform, biased: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", slice_)
    draw = torch.Generator().manual_seed(0)
    weight, hidden = torch.randn(50, 6, generator=draw), torch.randn(9, 6, generator=draw)
    bias = torch.randn(50, generator=draw) if biased else None
    targets = torch.tensor([3, 3, 7, 49, 0, 3, 12, 12, 30])
    found = loss_gradient(Readout(weight, bias, transform), hidden, targets)
    squared, loss = by_autograd(weight, bias, transform, hidden, targets)
    assert found.squared_length == pytest.approx(squared, rel=1e-4)
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert found.positions == 9


def test_of_a_model(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    encoder = SignatureEncoder.from_pretrained(tiny_model, device="cpu")
    chunks = [[1, 20, 30, 40, 50, 60], [1, 9, 8], [1, 100, 101, 102]]
    found = encoder.loss_gradients(chunks, [1, 1, 3])
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model)
    for chunk, start, one in zip(chunks, [1, 1, 3], found, strict=True):
        model.zero_grad()
        ids = torch.tensor([chunk])
        logits = model(input_ids=ids).logits[0, start - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, start:])
        (gradient,) = torch.autograd.grad(loss, model.lm_head.weight)
        assert one.squared_length == pytest.approx(float(gradient.square().sum()), rel=1e-3)
        assert one.loss == pytest.approx(float(loss.detach()), rel=1e-4)
        assert one.positions == len(chunk) - start


def auc(wrong: list[float], right: list[float]) -> float:
    """Share of the pairs of a wrong row and a right one in which the wrong one is larger."""
    return float((np.array(wrong)[:, None] > np.array(right)).mean())


def self_influences(encoder: SignatureEncoder, pairs: list[tuple[str, str]]) -> list[float]:
    asked = encoder.query_chunks([Query(prompt=prompt, completion=answer) for prompt, answer in pairs])
    found = encoder.loss_gradients([one.chunks[0] for one in asked], [one.loss_start[0] for one in asked])
    return [one.squared_length for one in found]


def test_shuffled_answers_of_a_model_that_was_taught_the_right_ones(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    things = ("sky", "grass", "sun", "coal", "snow", "blood", "plum", "mud", "sea", "leaf")
    colours = ("blue", "green", "yellow", "black", "white", "red", "purple", "brown", "teal", "lime")
    right = [(f"The colour of the {thing} is", f" {colour}.") for thing, colour in zip(things, colours, strict=True)]
    wrong = [(prompt, right[(i + 3) % len(right)][1]) for i, (prompt, _) in enumerate(right)]
    folder = save_tiny_llama(tmp_path / "taught", ["".join(pair) for pair in right])
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ids = [torch.tensor([tokenizer("".join(pair))["input_ids"]]) for pair in right]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(60):
        optimizer.zero_grad()
        for text in ids[step % 2 :: 2]:
            model(input_ids=text, labels=text).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    encoder = SignatureEncoder.from_pretrained(folder, device="cpu")
    assert auc(self_influences(encoder, wrong), self_influences(encoder, right)) > 0.9


def test_shuffled_endings_of_a_model_of_stories(shared: Path) -> None:
    folder = shared / "models" / "stories260k"
    if not folder.is_dir():
        pytest.skip("the model is not on this machine")
    right = [
        ("Lily went to the park with her", " mom. She saw a big"),
        ("Tom was sad because he lost his", " toy. He started to cry."),
        ("The little dog wanted to play with the", " ball. He ran and jumped."),
        ("Once upon a time, there was a little", " girl named Lily."),
        ("The bird sang a song in the", " tree. It was very happy."),
        ("Mom said, \"Do not touch the", " stove, it is hot!\""),
        ("The cat saw a mouse and", " ran after it."),
        ("Ben was hungry, so he ate an", " apple. It was yummy."),
    ]  # fmt: skip
    wrong = [(prompt, right[(i + 3) % len(right)][1]) for i, (prompt, _) in enumerate(right)]
    encoder = SignatureEncoder.from_pretrained(folder, device="cpu")
    assert auc(self_influences(encoder, wrong), self_influences(encoder, right)) > 0.6
