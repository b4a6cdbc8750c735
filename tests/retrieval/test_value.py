"""Values of candidates: stored or streamed, they are the scores that searches give, put together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.errors import ConfigError
from rise_store.records import Metric, ValueBy
from rise_store.retrieval import Scoring
from rise_store.retrieval.value import Candidate, CandidateBlock, RankFusion, Targets, ValuedBlock
from rise_store.store import Collection, Equals, SearchRequest
from tests.retrieval.channel_rows import ESTIMATOR, Channels, collection_of

ROWS = Channels.random(60, seed=0)
TARGETS = Channels.random(5, seed=1).signatures().astype(np.float32)


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    with collection_of(ROWS) as collection:
        yield collection


def folded_for(metric: Metric) -> tuple[Scoring, np.ndarray]:
    scoring = Scoring.plan(ESTIMATOR, metric)
    return scoring, scoring.fold(scoring.features(TARGETS))


@pytest.mark.parametrize("metric", ["dot", "cosine", "paper"])
@pytest.mark.parametrize("by", ["mean", "max"])
def test_values_are_the_scores_of_searches_put_together(collection: Collection, metric: Metric, by: ValueBy) -> None:
    scoring, folded = folded_for(metric)
    valued = list(Targets(folded, scoring, by).stored(collection, None, ("example_id",)))
    values = {
        row.fields["example_id"]: value
        for block in valued
        for row, value in zip(block.candidates, block.values, strict=True)
    }
    assert len(values) == 60
    scores: dict[str, list[float]] = {name: [] for name in values}
    requests = [SearchRequest(vector, 60, scaling=scoring.scaling) for vector in folded]
    for hits in collection.search(requests):
        for hit in hits:
            scores[hit.payload["example_id"]].append(hit.score)
    for name, value in values.items():
        expected = np.mean(scores[name]) if by == "mean" else max(scores[name])
        assert value == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("by", ["mean", "max"])
@pytest.mark.parametrize("metric", ["dot", "cosine", "paper"])
def test_channels_add_up_to_the_value(metric: Metric, by: ValueBy) -> None:
    scoring, folded = folded_for(metric)
    signatures = ROWS.signatures().astype(np.float32)
    rows = CandidateBlock([Candidate(i, {}) for i in range(60)], signatures)
    (whole,) = Targets(folded, scoring, by).blocks([rows])
    best = (whole.scores if by == "max" else np.zeros((60, 5))).argmax(axis=1)
    for channel, part in (("rh", whole.rh), ("gh", whole.values - whole.rh)):
        only = folded.copy()
        only[:, ESTIMATOR.dim_rh :] *= channel == "gh"
        only[:, : ESTIMATOR.dim_rh] *= channel == "rh"
        (alone,) = Targets(only, scoring, "max").blocks([rows])
        expected = alone.scores.mean(axis=1) if by == "mean" else alone.scores[np.arange(60), best]
        np.testing.assert_allclose(part, expected, atol=1e-5)


def test_a_filter_and_the_scores_of_each_target(collection: Collection) -> None:
    scoring, folded = folded_for("dot")
    (block,) = Targets(folded, scoring, each=True).stored(collection, Equals("license", "MIT"), ("license",))
    assert len(block.candidates) == 30
    assert block.scores is not None
    np.testing.assert_allclose(block.scores, block.signatures @ folded.T, atol=1e-5)
    np.testing.assert_allclose(block.values, block.scores.mean(axis=1), atol=1e-5)


def test_an_unknown_value() -> None:
    scoring, folded = folded_for("dot")
    with pytest.raises(ConfigError, match="unknown value 'sum'; choose one of mean, max, rrf"):
        Targets(folded, scoring, "sum")  # type: ignore[arg-type]


def stream(scores: np.ndarray, size: int) -> Iterator[ValuedBlock]:
    for start in range(0, len(scores), size):
        part = scores[start : start + size]
        rows = [Candidate(start + i, {}) for i in range(len(part))]
        yield ValuedBlock(rows, np.zeros((len(part), 1), np.float32), part[:, 0], part[:, 0], part)


SCORES = st.integers(1, 40).flatmap(
    lambda rows: st.integers(1, 4).flatmap(
        lambda targets: st.lists(
            st.lists(st.integers(0, 6), min_size=targets, max_size=targets), min_size=rows, max_size=rows
        )
    )
)


@settings(max_examples=60, deadline=None)
@given(scores=SCORES, depth=st.integers(1, 50), size=st.integers(1, 9))
def test_rank_fusion_of_a_stream_is_that_of_sorting_everything(scores: list[list[int]], depth: int, size: int) -> None:
    table = np.array(scores, dtype=np.float32)
    fusion = RankFusion(table.shape[1], depth)
    for block in stream(table, size):
        fusion.add(block)
        assert fusion.held <= table.shape[1] * depth
    expected = np.zeros(len(table))
    for column in table.T:
        ranking = sorted(range(len(column)), key=lambda i: (-column[i], i))
        for rank, row in enumerate(ranking[:depth], 1):
            expected[row] += 1 / (60 + rank)
    found = fusion.ranked()
    order = [row for row in sorted(range(len(table)), key=lambda i: (-expected[i], i)) if expected[row] > 0]
    assert {one.candidate.number for one in found} == set(order)
    for one in found:
        assert one.value == pytest.approx(expected[one.candidate.number])
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)


def test_a_depth_below_one() -> None:
    with pytest.raises(ConfigError, match="depth is 0; let at least 1 rank of each target count"):
        RankFusion(2, 0)
