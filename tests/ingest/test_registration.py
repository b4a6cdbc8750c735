"""Datasets are registered once, with their provenance, and what ingests them later need not repeat it."""

from __future__ import annotations

import pytest

from rise_store import ConfigError, Dataset, InputError
from rise_store.records import CollectionPeriod
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, story_rows

NEWS = Dataset(name="news", license="CC-BY-4.0", issuer="The Daily", source_uri="https://daily.example/news")


def test_a_registered_dataset_is_known_before_it_has_examples(store: OpenStore) -> None:
    known = store.register(NEWS)
    assert (known.dataset, known.examples, known.changes) == (NEWS, 0, ())
    assert [found.dataset for found in store.datasets()] == [NEWS]
    assert known.registered_at is not None
    assert known.registered_at == known.updated_at


def test_what_is_registered_fills_what_an_ingestion_leaves_out(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.register(NEWS)
    told: list[str] = []
    store.ingest(story_rows(1), dataset="news", model=encoder, notify=told.append)
    payload = store.points["news", "row-0"].payload
    assert (payload["license"], payload["source_uri"]) == ("CC-BY-4.0", "https://daily.example/news")
    assert told == []
    assert store.runs()[0].dataset == NEWS


def test_ingesting_registers_and_changes_what_is_registered(store: OpenStore, encoder: SignatureEncoder) -> None:
    told: list[str] = []
    store.ingest(story_rows(1), dataset=Dataset(name="news", license="mit"), model=encoder, notify=told.append)
    assert told == []
    store.ingest(
        story_rows(1), dataset=Dataset(name="news", version="2", license="0BSD"), model=encoder, notify=told.append
    )
    assert told == [
        "dataset 'news': version was not given, is 2 now; license was MIT, is 0BSD now; stored examples keep what they "
        "have until they are ingested again"
    ]
    assert store.datasets("news")[0].dataset == Dataset(name="news", version="2", license="0BSD")


def test_fields_change_one_by_one_and_are_forgotten_by_name(store: OpenStore) -> None:
    store.register(Dataset(name="news", collection_period=CollectionPeriod(start="2024-01-01"), permitted_uses=("a",)))
    changed = store.register(Dataset(name="news", collection_period=CollectionPeriod(end="2024-12-31")))
    assert changed.dataset.collection_period == CollectionPeriod(start="2024-01-01", end="2024-12-31")
    assert changed.changes == ("collection_period was 2024-01-01 to ?, is 2024-01-01 to 2024-12-31 now",)
    forgotten = store.register("news", unset=["collection_period"])
    assert forgotten.dataset == Dataset(name="news", permitted_uses=("a",))
    with pytest.raises(ConfigError, match=r"cannot unset 'licence' of a dataset; fields: version, source_uri"):
        store.register("news", unset=["licence"])


def test_a_period_that_ends_before_it_starts_is_refused_also_across_registrations(store: OpenStore) -> None:
    store.register(Dataset(name="news", collection_period=CollectionPeriod(start="2024-01-01")))
    with pytest.raises(ConfigError, match=r"dataset collection_period: .*ends \(2023-01-01\) before it starts"):
        store.register(Dataset(name="news", collection_period=CollectionPeriod(end="2023-01-01")))


def test_an_unknown_licence_is_warned_about_and_refused_when_strict(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    odd = Dataset(name="news", license="our own terms")
    with pytest.raises(ConfigError, match="SPDX knows no licence 'our own terms'"):
        store.ingest(story_rows(1), dataset=odd, model=encoder, strict=True)
    assert store.datasets() == []
    told: list[str] = []
    store.ingest(story_rows(1), dataset=odd, model=encoder, notify=told.append)
    assert [line.split(";")[0] for line in told] == ["warning: dataset 'news': SPDX knows no licence 'our own terms'"]
    assert store.register(Dataset(name="own", license="LicenseRef-Daily"), strict=True).warnings == ()


def test_licences_of_rows_that_spdx_does_not_know_are_counted(store: OpenStore, encoder: SignatureEncoder) -> None:
    licences = ["MIT", "free", "free", "mit or 0BSD", "LicenseRef-x", None]
    rows = [row | {"license": licence} for row, licence in zip(story_rows(6), licences, strict=True)]
    report = store.ingest(rows, dataset="news", model=encoder)
    assert (report.new, report.unknown_licenses) == (6, {"free": 2})
    strict = store.ingest(rows, dataset="strictly", model=encoder, strict=True, max_rejects=2)
    assert (strict.new, strict.rejected, strict.unknown_licenses) == (4, 2, {})
    assert strict.rejects[0] == "row 2: SPDX knows no licence 'free'; LicenseRef-NAME is one of your own"
    with pytest.raises(InputError, match="row 2: SPDX knows no licence 'free'"):
        store.ingest(rows, dataset="strictly", model=encoder, strict=True)


def test_datasets_that_were_never_registered_are_listed_too(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(2), dataset="old", model=encoder)
    store.backend.catalogue().remove("dataset", ["old"])
    (known,) = store.datasets()
    assert (known.dataset, known.registered_at, known.examples) == (Dataset(name="old"), None, 2)
    with pytest.raises(InputError, match="the store knows no dataset 'new'"):
        store.datasets("new")
