"""A law: however rows are split into runs, and in whatever order they come, the store ends up the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from tests.ingest.examples import SENTENCES, OpenStore, Row, cosine, quick_folder, what_stays

dataset_names = (f"dataset-{number}" for number in count())  # one store serves all cases, a dataset each


@pytest.fixture(scope="module")
def shared_store() -> Iterator[OpenStore]:
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        yield OpenStore(backend)


rows_with_distinct_ids = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 99), "text": st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=3).map(" ".join)},
        optional={"license": st.sampled_from(["MIT", "CC0-1.0"]), "metadata": st.just({"good": True, "score": 0.1})},
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row["id"],
)


def assert_same_rows(store: OpenStore, one: str, other: str) -> None:
    """The two datasets hold the same, up to the rounding of batches that were put together differently."""
    ones, others = store.dataset(one), store.dataset(other)
    assert ones.keys() == others.keys()
    for key, point in ones.items():
        ours, theirs = what_stays(point), what_stays(others[key]) | {"dataset": one}
        assert ours.pop("channel_norms") == pytest.approx(theirs.pop("channel_norms"), abs=1e-3)
        assert ours == theirs
        assert cosine(point.vector, others[key].vector) >= 0.99998


@given(rows=rows_with_distinct_ids, data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_split_into_runs_gives_the_same_store(
    shared_store: OpenStore, encoder: SignatureEncoder, rows: list[Row], data: st.DataObject
) -> None:
    at_once, in_parts = next(dataset_names), next(dataset_names)
    shared_store.ingest(rows, dataset=at_once, model=encoder)
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=3).map(sorted), label="cuts")
    order = data.draw(st.permutations(rows), label="order")
    reports = [
        shared_store.ingest(order[start:end], dataset=in_parts, model=encoder)
        for start, end in pairwise([0, *cuts, len(rows)])
    ]
    assert sum(report.new for report in reports) == len(rows)
    assert_same_rows(shared_store, at_once, in_parts)


@given(rows=rows_with_distinct_ids, data=st.data())
@settings(max_examples=15, deadline=None)
def test_runs_that_overlap_store_each_row_once(
    shared_store: OpenStore, encoder: SignatureEncoder, rows: list[Row], data: st.DataObject
) -> None:
    at_once, overlapping = next(dataset_names), next(dataset_names)
    shared_store.ingest(rows, dataset=at_once, model=encoder)
    middle = data.draw(st.integers(0, len(rows)), label="middle")
    shared_store.ingest(rows[:middle], dataset=overlapping, model=encoder)
    report = shared_store.ingest(rows, dataset=overlapping, model=encoder)
    assert (report.new, report.unchanged) == (len(rows) - middle, middle)
    assert_same_rows(shared_store, at_once, overlapping)
