"""A selection from a stream is the one that sorting everything gives, and holds no more than it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.errors import ConfigError
from rise_store.retrieval.select import Chooser, Limits
from rise_store.retrieval.select import pool as pool_module
from rise_store.retrieval.value import Candidate, ValuedBlock

Row = tuple[float, dict[str, Any]]  # value and payload fields


def stream(rows: Sequence[Row], size: int, signatures: np.ndarray | None = None) -> Iterator[ValuedBlock]:
    vectors = np.zeros((len(rows), 1), np.float32) if signatures is None else signatures
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        values = np.array([value for value, _ in part], dtype=np.float32)
        candidates = [Candidate(start + i, fields) for i, (_, fields) in enumerate(part)]
        yield ValuedBlock(candidates, vectors[start : start + size], values, values, values[:, None])


def by_sorting(rows: Sequence[Row], limits: Limits) -> list[int]:
    """Numbers of the chosen rows, by the definition: down the ranking, each row that every limit lets through."""
    chosen: list[int] = []
    for number in sorted(range(len(rows)), key=lambda i: (-rows[i][0], i)):
        with_it = [*chosen, number]
        tokens = [rows[i][1]["tokens"] for i in with_it]
        fits = limits.k is None or len(with_it) <= limits.k
        fits = fits and (limits.tokens is None or sum(tokens) <= limits.tokens)
        for share in limits.shares:
            own = [i for i in with_it if share.value in (None, rows[i][1].get(share.field, ""))]
            for value in {rows[i][1].get(share.field, "") for i in own}:
                same = [i for i in own if rows[i][1].get(share.field, "") == value]
                fits = fits and (share.rows is None or len(same) <= share.rows)
                fits = fits and (share.tokens is None or sum(rows[i][1]["tokens"] for i in same) <= share.tokens)
        if fits:
            chosen = with_it
    return chosen


def numbers(chooser: Chooser, blocks: Iterator[ValuedBlock]) -> list[int]:
    return [row.candidate.number for row in chooser(blocks, 1).rows]


ROWS = st.lists(
    st.tuples(
        st.integers(-8, 8).map(float),
        st.fixed_dictionaries(
            {"tokens": st.integers(2, 9)},
            optional={"license": st.sampled_from(["MIT", "CC0-1.0"]), "source_uri": st.sampled_from(["a", "b", "c"])},
        ),
    ),
    max_size=60,
)
ONE_FIELD = st.sampled_from(
    [((), ()), (("license=MIT:2",), ()), ((), ("source_uri=1",)), (("source_uri=a:1",), ("source_uri=2",))]
)
SEVERAL_FIELDS = st.sampled_from(
    [
        (("license=MIT:2",), ("source_uri=2",)),
        (("license=:1", "source_uri=b:50%"), ()),
        ((), ("license=3", "source_uri=2")),
    ]
)


@pytest.fixture(autouse=True)
def _prune_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SLACK", 3)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, k=st.integers(1, 12), shares=ONE_FIELD | SEVERAL_FIELDS, size=st.integers(1, 20))
def test_rows_and_shares_of_fields(rows: list[Row], k: int, shares: Any, size: int) -> None:
    limits = Limits.plan(k, None, *shares)
    assert numbers(Chooser("mean", limits), stream(rows, size)) == by_sorting(rows, limits)


@settings(max_examples=100, deadline=None)
@given(
    rows=ROWS.map(lambda rows: rows[:26]),  # 234 tokens at most: no more than the pool of a budget of 60 holds
    k=st.none() | st.integers(4, 12),
    tokens=st.integers(60, 120),
    size=st.integers(1, 20),
)
def test_a_token_budget(rows: list[Row], k: int | None, tokens: int, size: int) -> None:
    limits = Limits.plan(k, tokens)
    assert numbers(Chooser("mean", limits), stream(rows, size)) == by_sorting(rows, limits)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, k=st.none() | st.integers(1, 9), tokens=st.integers(10, 60), size=st.integers(1, 20))
def test_a_token_budget_looks_at_four_times_as_much_of_each_value(
    rows: list[Row], k: int | None, tokens: int, size: int
) -> None:
    limits = Limits.plan(k, tokens, (), ["license=50%"])
    (share,) = limits.shares
    looked_at: dict[str, list[int]] = {}
    for number in sorted(range(len(rows)), key=lambda i: (-rows[i][0], i)):
        own = looked_at.setdefault(rows[number][1].get("license", ""), [])
        held = [i for part in looked_at.values() for i in part]
        alone = rows[number][1]["tokens"] <= (share.tokens or 0) and share.rows != 0
        within = sum(rows[i][1]["tokens"] for i in own) < 4 * (share.tokens or 0)
        within = within and sum(rows[i][1]["tokens"] for i in held) < 4 * tokens
        within = within and (k is None or len(held) < 4 * k)
        if alone and within and (share.rows is None or len(own) < 4 * share.rows):
            own.append(number)
    window = sorted(number for own in looked_at.values() for number in own)
    expected = [window[i] for i in by_sorting([rows[number] for number in window], limits)]
    assert numbers(Chooser("mean", limits), stream(rows, size)) == expected


def test_a_row_that_does_not_fit_is_passed_over() -> None:
    rows: list[Row] = [(3.0, {"tokens": 60}), (2.0, {"tokens": 50}), (1.0, {"tokens": 40}), (9.0, {"tokens": 101})]
    assert numbers(Chooser("mean", Limits.plan(None, 100)), stream(rows, 2)) == [0, 2]


def test_what_is_held_does_not_grow_with_the_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SLACK", 256)

    def held(count: int, *shares: Any, k: int | None = 50, tokens: int | None = None, strategy: Any = "mean") -> int:
        draw = np.random.default_rng(count)
        rows = [
            (float(value), {"tokens": 10, "source_uri": f"page-{number}", "license": f"L{number % 3}"})
            for number, value in enumerate(draw.random(count))
        ]
        limits = Limits.plan(k, tokens, *shares)
        return Chooser(strategy, limits)(stream(rows, 500), 1).most_held

    assert held(30_000) < 50 + 256 + 64
    assert held(30_000, (), ("source_uri=1",)) < 50 + 256 + 64  # as many values as candidates
    assert held(30_000, ("license=L1:10",), ()) < 50 + 256 + 64
    assert held(30_000, (), ("source_uri=1", "license=50%")) < 4 * 50 + 256 + 64
    assert held(30_000, (), ("source_uri=3",), k=None, tokens=1_000) < 4 * 100 + 256 + 128
    assert held(30_000, (), ("source_uri=3",), k=None, tokens=1_000, strategy="mmr") < 4 * 100 + 256 + 128


class TestTogether:
    """Strategies that weigh candidates against each other."""

    draw = np.random.default_rng(3)
    signatures = draw.standard_normal((40, 6)).astype(np.float32)
    signatures /= np.linalg.norm(signatures, axis=1, keepdims=True)
    rows: Sequence[Row] = [(float(value), {"tokens": 5, "license": "MIT"}) for value in draw.random(40)]

    def cosines(self) -> np.ndarray:
        return np.maximum(self.signatures @ self.signatures.T, 0)

    def test_mmr_without_diversity_takes_the_best(self) -> None:
        limits = Limits.plan(8, None)
        chooser = Chooser("mmr", limits, diversity=0)
        assert numbers(chooser, stream(self.rows, 7, self.signatures)) == by_sorting(self.rows, limits)

    def test_mmr_by_its_definition(self) -> None:
        values = np.array([value for value, _ in self.rows])
        expected: list[int] = []
        for _ in range(8):
            gains = 0.4 * values / values.max()
            gains -= 0.6 * self.cosines()[:, expected].max(axis=1, initial=0)
            gains[expected] = -np.inf
            expected.append(int(gains.argmax()))
        chooser = Chooser("mmr", Limits.plan(8, None), diversity=0.6, pool=5)
        assert numbers(chooser, stream(self.rows, 7, self.signatures)) == expected

    def test_facility_location_by_its_definition(self) -> None:
        values = np.array([value for value, _ in self.rows])
        expected: list[int] = []
        for _ in range(8):
            gains = np.array(
                [
                    -1.0 if i in expected else float(values @ self.cosines()[:, [*expected, i]].max(axis=1))
                    for i in range(40)
                ]
            )
            expected.append(int(gains.argmax()))
        chooser = Chooser("facility-location", Limits.plan(8, None), pool=5)
        assert numbers(chooser, stream(self.rows, 7, self.signatures)) == expected

    def test_copies_are_taken_last(self) -> None:
        copies = np.concatenate([self.signatures[:1]] * 5 + [self.signatures[1:4]])
        rows: list[Row] = [(1.0, {"tokens": 5})] * 5 + [(0.9, {"tokens": 5})] * 3
        for strategy in ("mmr", "facility-location"):
            chosen = numbers(Chooser(strategy, Limits.plan(4, None)), stream(rows, 3, copies))  # type: ignore[arg-type]
            assert sorted(chosen) == [0, 5, 6, 7]

    def test_limits_hold(self) -> None:
        rows: list[Row] = [
            (value, {"tokens": 5, "license": ("MIT", "GPL-3.0")[i % 2]}) for i, (value, _) in enumerate(self.rows)
        ]
        for strategy in ("mmr", "facility-location"):
            limits = Limits.plan(8, 35, ("license=MIT:2",))
            chosen = Chooser(strategy, limits)(stream(rows, 9, self.signatures), 1).rows  # type: ignore[arg-type]
            licences = [row.candidate.fields["license"] for row in chosen]
            assert (licences.count("MIT"), licences.count("GPL-3.0")) == (2, 5)

    def test_the_pool_bounds_what_is_held(self) -> None:
        chooser = Chooser("mmr", Limits.plan(2, None), pool=3)
        chosen = chooser(stream(self.rows, 4, self.signatures), 1)
        assert (chosen.pool, chosen.candidates) == (6, 40)
        assert chosen.most_held < 20

    def test_the_pool_of_a_token_budget_is_as_wide(self) -> None:
        for strategy in ("mmr", "facility-location"):
            chosen = Chooser(strategy, Limits.plan(None, 20), pool=3)(stream(self.rows, 4, self.signatures), 1)  # type: ignore[arg-type]
            assert (chosen.pool, len(chosen.rows)) == (12, 4)

    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), diversity=st.floats(0, 1), count=st.integers(1, 200))
    def test_mmr_compares_no_row_in_vain_and_misses_none(self, seed: int, diversity: float, count: int) -> None:
        draw = np.random.default_rng(seed)
        signatures = draw.standard_normal((count, 5)).astype(np.float16)
        units = signatures.astype(np.float64)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        values = draw.standard_normal(count).astype(np.float32)
        rows: list[Row] = [(float(value), {"tokens": 5}) for value in values]
        chooser = Chooser("mmr", Limits.plan(30, None), diversity=diversity, pool=10)
        chosen = numbers(chooser, stream(rows, 64, signatures))
        assert len(chosen) == min(30, count)
        cosines = np.maximum(units @ units.T, 0)
        for place, number in enumerate(chosen):
            gains = (1 - diversity) * values / np.abs(values).max()
            gains = gains - diversity * cosines[:, chosen[:place]].max(axis=1, initial=0)
            gains[chosen[:place]] = -np.inf
            assert gains[number] == pytest.approx(gains.max(), abs=1e-5)  # the largest, up to rounding

    def test_no_candidates(self) -> None:
        for strategy in ("mean", "rrf", "mmr", "facility-location"):
            assert numbers(Chooser(strategy, Limits.plan(2, None)), stream([], 4)) == []  # type: ignore[arg-type]


def test_rank_fusion_takes_the_best_within_limits() -> None:
    rows: list[Row] = [(float(i), {"tokens": 5, "license": ("MIT", "GPL-3.0")[i % 2]}) for i in range(20)]
    limits = Limits.plan(6, None, ("license=MIT:1",))
    assert numbers(Chooser("rrf", limits), stream(rows, 3)) == by_sorting(rows, limits)


def test_fields_that_no_candidate_has_are_told() -> None:
    rows: list[Row] = [(1.0, {"tokens": 5, "license": "MIT"})]
    chosen = Chooser("mean", Limits.plan(1, None, ("licence=MIT:1", "license=MIT:1")))(stream(rows, 1), 1)
    assert chosen.unseen == ("metadata.licence",)


def test_fields_of_candidates_that_no_quota_counts_are_known() -> None:
    rows: list[Row] = [(float(-i), {"tokens": 5, "license": "MIT"} if i == 19 else {"tokens": 5}) for i in range(20)]
    for quota in ("license=GPL-3.0:1", "license=MIT:1"):
        limits = Limits.plan(1, None, [quota])
        for chooser in (Chooser("mean", limits), Chooser("rrf", limits, depth=2)):
            assert chooser(stream(rows, 3), 1).unseen == ()


def test_rank_fusion_ranks_as_many_as_are_chosen_at_least() -> None:
    assert Chooser("rrf", Limits.plan(5, None)).depth == 1_000
    assert Chooser("rrf", Limits.plan(None, 5_000)).depth == 1_000
    rows: list[Row] = [(float(i), {"tokens": 5}) for i in range(1_500)]
    chosen = Chooser("rrf", Limits.plan(1_200, None))(stream(rows, 500), 1)
    assert (len(chosen.rows), chosen.unranked) == (1_200, 300)


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("best", {}, "unknown strategy 'best'; choose one of mean, max, rrf, mmr, facility-location"),
        ("mean", {"diversity": 0.5}, "diversity is a setting of mmr, not of mean; leave it out"),
        ("mean", {"pool": 2}, "pool is a setting of mmr and facility-location, not of mean; leave it out"),
        ("mmr", {"depth": 2}, "depth is a setting of rrf, not of mmr; leave it out"),
        ("rrf", {"depth": 0}, "depth is 0; let at least 1 rank of each target count"),
        ("facility-location", {"pool": 20_001}, "compares the 20,001 rows of the pool with each other, 20,000 at most"),
        ("mmr", {"pool": 0}, "pool is 0; hold at least 1 times what is selected"),
        ("mmr", {"diversity": 1.5}, r"diversity is 1.5; give a number from 0 \(values alone\) to 1"),
    ],
)
def test_settings_that_do_not_fit(strategy: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Chooser(strategy, Limits.plan(1, None), **options)
