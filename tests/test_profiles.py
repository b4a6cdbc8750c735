"""Storage profiles in the library: what a choice means, and encoders that do or do not fit it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rise_store import AttributionStore, ConfigError, EstimatorConfig
from rise_store.profiles import SMALL_WIDTHS, StorageChoice
from rise_store.records import Storage
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SMALL, quick_folder, story_rows


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as quick:
        yield quick / "store"


def test_the_default_is_float16_alone() -> None:
    assert StorageChoice().storage() == Storage() == StorageChoice("float16").storage()
    assert StorageChoice().estimator(None) is None


def test_small_is_float16_of_352_coordinates() -> None:
    choice = StorageChoice("small", quantization=4, hnsw=True)
    assert choice.storage() == Storage(vectors="float16", quantization=4, hnsw=True)
    config = choice.estimator(EstimatorConfig(tau=1.0))
    assert config is not None
    assert (config.dim, config.tau) == (352, 1.0)
    assert choice.estimator(None) == EstimatorConfig(**SMALL_WIDTHS)
    with pytest.raises(ConfigError, match="kg 28, not 64"):
        choice.estimator(EstimatorConfig(kg=64))


def test_other_storage_is_refused() -> None:
    for choice in (StorageChoice("turbo16"), StorageChoice(quantization=3)):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="storage"):
            choice.storage()


def test_an_encoder_brings_its_own_widths(folder: Path, tiny_model: Path) -> None:
    wide = SignatureEncoder.from_pretrained(tiny_model, EstimatorConfig(kr=24, kh=8, kg=28), device="cpu")
    fitting = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")
    with AttributionStore.open(folder) as store:
        with pytest.raises(ConfigError, match=r"profile small takes an encoder .* not one with kr 24"):
            store.ingest(story_rows(2), dataset="stories", model=wide, profile="small")
        store.ingest(story_rows(2), dataset="stories", model=fitting, profile="small", quantization=4)
        (held,) = store.info().spaces
    assert held.space.storage == Storage(quantization=4)
