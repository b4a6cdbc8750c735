"""Encoders of several spaces that share one loaded model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rise_store import SpaceMismatchError
from rise_store.signature import SignatureEncoder
from tests.conftest import STORY
from tests.ingest.examples import SMALL


def test_another_seed_of_the_sketch_is_as_if_it_were_loaded_with_it(tiny_model: Path) -> None:
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")
    other = SignatureEncoder.from_pretrained(tiny_model, SMALL.model_copy(update={"seed": 43}), device="cpu")
    before, own = encoder.fingerprint, encoder.encode([STORY]).signatures
    shared = encoder.with_tables(other.config, other.tables.arrays())
    assert (shared.fingerprint, shared.space().estimator.seed) == (other.fingerprint, 43)
    np.testing.assert_allclose(shared.encode([STORY]).signatures, other.encode([STORY]).signatures, atol=1e-6)
    assert encoder.fingerprint == before != shared.fingerprint
    np.testing.assert_array_equal(encoder.encode([STORY]).signatures, own)


def test_tables_of_other_widths_are_refused(tiny_model: Path) -> None:
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")
    with pytest.raises(SpaceMismatchError, match="the model needs"):
        encoder.with_tables(SMALL.model_copy(update={"kh": 2}), encoder.tables.arrays())
