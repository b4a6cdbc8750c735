"""Tiny models as folders, the way users have them, and the encoders made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from rise_store.signature import EstimatorConfig, SignatureEncoder
from tests.signature.architectures import ARCHITECTURES

SMALL = EstimatorConfig(kr=32, kh=16, kg=8)
SaveModel = Callable[..., Path]


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Products of tiny models cost less than handing them to a second thread, by far on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> SaveModel:
    """Saves a random model of an architecture, once a session; returns its folder, which holds no tokenizer."""
    saved: dict[tuple[str, int, bool], Path] = {}

    def save(name: str, vocabulary: int, *, tied: bool = False) -> Path:
        key = (name, vocabulary, tied)
        if key not in saved:
            saved[key] = tmp_path_factory.mktemp(name)
            ARCHITECTURES[name].build(vocabulary, tied=tied).save_pretrained(saved[key])
        return saved[key]

    return save


@pytest.fixture(scope="session")
def encoder(tiny_model: Path) -> SignatureEncoder:
    """An encoder of the tiny Llama with a tokenizer, in small widths."""
    return SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")
