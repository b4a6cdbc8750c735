"""Searches that cannot be answered are refused before a model is loaded."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rise_store import ConfigError, RiseStoreError, SpaceMismatchError, StoreError, Weights
from rise_store.retrieval import parse_weights
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SENTENCES, SMALL, OpenStore, story_rows


@pytest.mark.parametrize("k", [0, -1, 31, 10_000])
def test_k_lies_between_1_and_what_is_stored(library: OpenStore, k: int) -> None:
    with pytest.raises(ConfigError, match=f"k is {k}, but the store holds 30 examples; choose k from 1 to 30"):
        library.attribute(SENTENCES[0], k=k, model="no such model")


def test_an_empty_store_says_how_to_fill_it(store: OpenStore) -> None:
    with pytest.raises(StoreError, match="is empty; ingest a corpus first: rise-store ingest"):
        store.attribute(SENTENCES[0])


def test_a_space_without_examples_is_empty_too(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest([], dataset="stories", model=encoder)
    with pytest.raises(StoreError, match="holds no examples; ingest a corpus first"):
        store.attribute(SENTENCES[0], model=encoder)


def test_an_encoder_of_another_space_is_refused(library: OpenStore, encoder: SignatureEncoder) -> None:
    from rise_store.signature import SignatureEncoder

    other = SignatureEncoder.from_pretrained(
        encoder.reference.name, SMALL.model_copy(update={"tau": 1.0}), device="cpu"
    )
    with pytest.raises(SpaceMismatchError, match=r"another space .*: tau 0\.1 there, 1\.0 here"):
        library.attribute(SENTENCES[0], model=other)
    with pytest.raises(SpaceMismatchError, match=r"another space .*: tau 0\.1 there, 1\.0 here"):
        library.ingest(story_rows(1), dataset="more", model=other)


def test_a_space_is_named_by_the_beginning_of_its_fingerprint(library: OpenStore, encoder: SignatureEncoder) -> None:
    assert library.attribute(SENTENCES[0], space=encoder.fingerprint[:6], model=encoder).space == encoder.fingerprint
    with pytest.raises(StoreError, match=f"no space zz; its spaces: {encoder.fingerprint}"):
        library.attribute(SENTENCES[0], space="zz")


def test_of_several_spaces_one_must_be_chosen(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(2), dataset="stories", model=encoder)
    other = SignatureEncoder.from_pretrained(
        encoder.reference.name, SMALL.model_copy(update={"tau": 1.0}), device="cpu"
    )
    store.ingest(story_rows(3), dataset="stories", model=other, new_space=True)
    with pytest.raises(StoreError, match="several spaces, choose one with --space") as caught:
        store.attribute(SENTENCES[0])
    assert encoder.fingerprint in str(caught.value)
    assert other.fingerprint in str(caught.value)
    assert store.attribute(SENTENCES[0], k=1, space=other.fingerprint, model=other).candidates == 3
    assert store.attribute(SENTENCES[0], k=1, space=encoder.fingerprint, model=encoder).candidates == 2


class TestWeights:
    @given(rh=st.floats(-1e6, 1e6), gh=st.floats(-1e6, 1e6).filter(bool))
    def test_written_weights_are_read_back(self, rh: float, gh: float) -> None:
        assert parse_weights(f"rh={rh},gh={gh}") == Weights(rh=rh, gh=gh)
        assert parse_weights(f" gh = {gh} , rh = {rh} ") == Weights(rh=rh, gh=gh)

    def test_a_channel_that_is_not_named_has_weight_1(self) -> None:
        assert parse_weights("gh=0.5") == Weights(rh=1, gh=0.5)
        assert parse_weights("rh=2") == Weights(rh=2, gh=1)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("ph=1", r"unknown weight 'ph' in 'ph=1'; the channels are rh and gh"),
            ("rh=1,xx=2", "unknown weight 'xx'"),
            ("rh", "'rh' has no number"),
            ("rh=", "'rh=' has no number"),
            ("rh=one", "'rh=one' has no number"),
            ("rh=nan", "'rh=nan' has no number"),
            ("rh=inf", "'rh=inf' has no number"),
            ("rh=1,rh=2", "'rh' stands twice"),
            ("rh=0,gh=0", "both weights are 0"),
        ],
    )
    def test_what_are_no_weights_is_refused(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            parse_weights(text)

    def test_weights_that_are_both_0_are_refused_as_records_too(
        self, library: OpenStore, encoder: SignatureEncoder
    ) -> None:
        with pytest.raises((RiseStoreError, ValueError), match="both weights are 0"):
            library.attribute(SENTENCES[0], weights=Weights(rh=0, gh=0), model=encoder)

    @pytest.mark.parametrize("weights", ["rh=1e300", "rh=1e38,gh=1e38", "rh=-1e300"])
    def test_weights_beyond_float32_are_called_weights(
        self, library: OpenStore, encoder: SignatureEncoder, weights: str
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = library.attribute(SENTENCES[0], k=3, weights=weights, model=encoder)
            except RiseStoreError as error:
                assert "weight" in str(error)  # noqa: PT017
            else:
                assert np.isfinite([hit.score for hit in result.results]).all()
