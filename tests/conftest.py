"""What several tests need: shared material where it exists, and a tiny language model that the tests make."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

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


@pytest.fixture(scope="module")
def quick_workers() -> Iterator[None]:
    """Worker processes that find torch imported; each imports it anew otherwise, which takes most of a test's time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["rise_store.cli", "rise_store.signature", "transformers.models.llama.modeling_llama"]
    )
    forkserver.ensure_running()  # workers are started with Ctrl-C blocked, which it would pass on to all that it starts
    with pytest.MonkeyPatch.context() as patch:
        started = SimpleNamespace(get_context=lambda method: context)
        patch.setattr("rise_store.ingest.workers.process.multiprocessing", started)
        yield


STORY = (
    "Once upon a time there was a little girl named Lily. She loved to play outside in the park with her dog. "
    "One day the dog found a shiny key under a big tree, and Lily asked her mother what it could open."
)
