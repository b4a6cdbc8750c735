"""Answers are those of an exact search: the same as numpy finds with the encoder's own signatures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store import AttributionResult, Example, Query, Weights
from rise_store.retrieval import Search, attribute
from rise_store.signature import SignatureEncoder
from rise_store.store import Vector
from tests.ingest.examples import SENTENCES, SMALL, OpenStore
from tests.retrieval.channel_rows import Channels, collection_of

ROUNDING = 2e-3  # signatures and queries are kept as float16

queries = st.one_of(
    st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=2).map(lambda parts: Query(text=" ".join(parts))),
    st.builds(
        lambda prompt, completion: Query(prompt=prompt, completion=completion),
        st.sampled_from(["What comes after 3? ", "Who found the key?", ""]),
        st.sampled_from(["4, says her dog.", " Lily, under a tree.", " The old man lost the box."]),
    ),
)
weights = st.builds(
    Weights,
    rh=st.floats(-4, 4, allow_nan=False).filter(lambda weight: abs(weight) > 0.01),
    gh=st.floats(-4, 4, allow_nan=False),
)


class BruteForce:
    """Scores of every example by the definition: the weighted sum of the channels' dot products."""

    def __init__(self, encoder: SignatureEncoder, examples: list[Example]) -> None:
        self._encoder = encoder
        self._ids = [example.id for example in examples]
        self._signatures = encoder.encode(examples).signatures.astype(np.float64)

    def channels(self, query: Query, weights: Weights) -> dict[str, npt.NDArray[np.float64]]:
        """Example id -> what RH and GH add to its score."""
        asked = self._encoder.encode_queries([query]).signatures[0].astype(np.float64)
        products = self._signatures * asked
        rh = weights.rh * products[:, : SMALL.dim_rh].sum(axis=1)
        gh = weights.gh * products[:, SMALL.dim_rh :].sum(axis=1)
        return dict(zip(self._ids, np.stack([rh, gh], axis=1), strict=True))


@pytest.fixture(scope="module")
def brute_force(encoder: SignatureEncoder, examples: list[Example]) -> BruteForce:
    return BruteForce(encoder, examples)


def assert_best(result: AttributionResult, expected: dict[str, Any], weights: Weights) -> None:
    """The results are the best of all examples, in order, with the scores and channels that they should have."""
    tolerance = ROUNDING * (abs(weights.rh) + abs(weights.gh))
    scores = {key: channels.sum() for key, channels in expected.items()}
    best = sorted(scores.values(), reverse=True)
    for hit, score in zip(result.results, best, strict=False):
        assert hit.score == pytest.approx(score, abs=tolerance)
        assert hit.score == pytest.approx(scores[hit.example_id], abs=tolerance)
        assert (hit.channels.rh, hit.channels.gh) == pytest.approx(tuple(expected[hit.example_id]), abs=tolerance)
        assert hit.channels.rh + hit.channels.gh == pytest.approx(hit.score, abs=1e-6)
    assert [hit.rank for hit in result.results] == list(range(1, len(result.results) + 1))
    assert all(one.score >= other.score for one, other in itertools.pairwise(result.results))


@given(query=queries, weights=weights, k=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_weights_fold_exactly(
    library: OpenStore, encoder: SignatureEncoder, brute_force: BruteForce, query: Query, weights: Weights, k: int
) -> None:
    (result,) = library.attribute_all([query], k=k, weights=weights, model=encoder)
    assert len(result.results) == k
    assert_best(result, brute_force.channels(query, weights), weights)
    assert result.weights == weights


@given(query=queries, factor=st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_a_common_factor_of_the_weights_scales_the_scores_alone(
    library: OpenStore, encoder: SignatureEncoder, query: Query, factor: float
) -> None:
    plain, scaled = (
        library.attribute_all([query], k=5, weights=Weights(rh=scale, gh=scale / 2), model=encoder)[0].results
        for scale in (1.0, factor)
    )
    assert [hit.score * factor for hit in plain] == pytest.approx([hit.score for hit in scaled], rel=1e-2)


@given(asked=st.lists(queries, min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_many_queries_are_answered_as_each_alone(
    library: OpenStore, encoder: SignatureEncoder, asked: list[Query]
) -> None:
    together = library.attribute_all(asked, k=5, model=encoder)
    assert [result.query for result in together] == asked
    for query, result in zip(asked, together, strict=True):
        (alone,) = library.attribute_all([query], k=5, model=encoder)
        assert [hit.score for hit in alone.results] == pytest.approx([hit.score for hit in result.results], abs=1e-3)


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ("reviewed=true", lambda example: example.metadata.get("reviewed") is True),
        ("author.name=Ada", lambda example: example.metadata.get("author", {}).get("name") == "Ada"),
        ("dataset=questions", lambda example: example.prompt is not None),
    ],
)
def test_filtered_answers_are_the_best_of_those_that_fit(
    library: OpenStore,
    encoder: SignatureEncoder,
    brute_force: BruteForce,
    examples: list[Example],
    where: str,
    fits: Any,
) -> None:
    query, weights = Query(text=SENTENCES[2]), Weights(rh=1, gh=0.5)
    (result,) = library.attribute_all([query], k=30, weights=weights, where=where, model=encoder)
    expected = brute_force.channels(query, weights)
    fitting = {example.id: expected[example.id] for example in examples if fits(example)}
    assert {hit.example_id for hit in result.results} == fitting.keys()
    assert result.candidates == len(fitting)
    assert_best(result, fitting, weights)


def test_each_stored_example_scores_1_against_itself(
    library: OpenStore, encoder: SignatureEncoder, examples: list[Example]
) -> None:
    results = library.attribute_all([Query(text=example.content) for example in examples], k=1, model=encoder)
    for example, result in zip(examples, results, strict=True):
        (best,) = result.results
        assert best.example_id == example.id
        assert best.score == pytest.approx(1, abs=1e-3)
        assert best.text == example.content


def test_one_channel_alone(library: OpenStore, encoder: SignatureEncoder) -> None:
    for channel, other in (("rh", "gh"), ("gh", "rh")):
        result = library.attribute(SENTENCES[0], k=5, weights=f"{channel}=1,{other}=0", model=encoder)
        for hit in result.results:
            assert getattr(hit.channels, other) == pytest.approx(0, abs=1e-6)
            assert getattr(hit.channels, channel) == pytest.approx(hit.score, abs=1e-6)


def test_an_answer_brings_what_was_stored_of_the_example(library: OpenStore, encoder: SignatureEncoder) -> None:
    result = library.attribute(f"{SENTENCES[0]} {SENTENCES[2]} Page 0.", k=1, model=encoder)
    (best,) = result.results
    assert (best.example_id, best.dataset, best.dataset_version) == ("story-0", "stories", "1")
    assert (best.license, best.source_uri) == ("CC-BY-4.0", "https://stories.example")
    assert best.text == f"{SENTENCES[0]} {SENTENCES[2]} Page 0."
    assert best.tokens == encoder.encode([best.text]).token_counts[0]
    assert best.metadata["author"] == {"name": "Ada", "born": 1815}
    assert (result.space, result.candidates, result.where) == (encoder.fingerprint, 30, None)


def test_what_is_deleted_between_the_search_and_its_scores_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = Channels.random(1, seed=1).signatures().astype(np.float32)
    with collection_of(Channels.random(20, seed=4)) as collection:
        search = Search.plan(collection, [Query(text="made of channels")], k=5, offset=2)
        (before,) = attribute(search, signature)
        score = collection.score

        def score_late(query: Vector, ids: Sequence[UUID]) -> dict[UUID, float]:
            collection.delete(ids[1:2])  # as another client of a server may
            return score(query, ids)

        monkeypatch.setattr(collection, "score", score_late)
        (after,) = attribute(search, signature)
    left = [before.results[number] for number in (0, 2, 3, 4)]
    assert [hit.example_id for hit in after.results] == [hit.example_id for hit in left]
    assert [hit.rank for hit in after.results] == [3, 4, 5, 6]
