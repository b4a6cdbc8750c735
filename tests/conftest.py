"""What several tests need: shared material where it exists, and a tiny language model that the tests make."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material beside the project; tests that use it skip on machines without it."""
    folder = ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("the shared material is not on this machine")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random Llama with a tokenizer: a real model, loaded as users load theirs."""
    from tests.tiny_models import save_tiny_llama

    return save_tiny_llama(tmp_path_factory.mktemp("tiny-llama"), [STORY] * 4)


STORY = (
    "Once upon a time there was a little girl named Lily. She loved to play outside in the park with her dog. "
    "One day the dog found a shiny key under a big tree, and Lily asked her mother what it could open."
)
