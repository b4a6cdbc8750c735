"""Datasets that a store knows: registered once, with their provenance, and changed by saying so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rise_store.errors import ConfigError
from rise_store.ingest.runs.run_records import now
from rise_store.licenses import canonical_license
from rise_store.records import Dataset, RegisteredDataset, validated
from rise_store.store import Catalogue, Collection, Equals, Exists

_MOST_VALUES = 1_000_000  # distinct datasets or versions that are counted


@dataclass(frozen=True)
class Registration:
    """A dataset as it is registered now, and what people should know about how it came about."""

    dataset: Dataset
    changes: tuple[str, ...]  # fields that are not what they were, one line each
    warnings: tuple[str, ...]


def check_dataset_license(dataset: Dataset, strict: bool) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset with its licence as SPDX writes it; and a warning where SPDX does not know the licence.

    Raises:
        ConfigError: it does not, and `strict` is true.
    """
    if dataset.license is None:
        return dataset, ()
    canonical = canonical_license(dataset.license)
    if canonical is not None:
        return dataset.model_copy(update={"license": canonical}), ()
    problem = (
        f"dataset {dataset.name!r}: SPDX knows no licence {dataset.license[:60]!r}; use an expression of its list, "
        "such as CC-BY-4.0, or LicenseRef-NAME for one of your own"
    )
    if strict:
        raise ConfigError(problem)
    return dataset, (problem,)


def register(
    catalogue: Catalogue, dataset: Dataset, *, unset: Iterable[str] = (), strict: bool = False
) -> Registration:
    """Register a dataset, or change its registration: what `dataset` leaves out stays as it was.

    Args:
        catalogue: of the store.
        dataset: its name, and the fields to set.
        unset: fields to forget.
        strict: refuse a licence that SPDX does not know.

    Raises:
        ConfigError: fields that do not go together, an unknown field to forget, or see `strict`.
    """
    dataset, warnings = check_dataset_license(dataset, strict)
    unset = tuple(unset)
    unknown = set(unset) - set(Dataset.model_fields) | set(unset) & {"name"}
    if unknown:
        known = ", ".join(name for name in Dataset.model_fields if name != "name")
        raise ConfigError(f"cannot unset {min(unknown)!r} of a dataset; fields: {known}")
    stored = catalogue.get("dataset", [dataset.name]).get(dataset.name)
    before: dict[str, Any] = {} if stored is None else _given(stored["dataset"])
    given = _given(dataset.model_dump(mode="json"))
    period = "collection_period"
    if period in before and period in given:
        given[period] = before[period] | given[period]
    fields = {name: value for name, value in {**before, **given}.items() if name not in unset or name in given}
    merged = validated(Dataset, "dataset", fields)
    changes = [] if stored is None else _changes(before, fields)
    if stored is None or changes:
        document = {
            "dataset": merged.model_dump(mode="json", exclude_defaults=True),
            "registered_at": now() if stored is None else stored["registered_at"],
            "updated_at": now(),
        }
        catalogue.put("dataset", {dataset.name: document})
    return Registration(merged, tuple(changes), warnings)


def registration_lines(registration: Registration) -> list[str]:
    """What people should know about a registration, one line each."""
    lines = [f"warning: {warning}" for warning in registration.warnings]
    if registration.changes:
        changes = "; ".join(registration.changes)
        lines.append(
            f"dataset {registration.dataset.name!r}: {changes}; stored examples keep what they have until they are "
            "ingested again"
        )
    return lines


def registered(
    catalogue: Catalogue, collections: Sequence[Collection], names: Iterable[str] | None = None
) -> list[RegisteredDataset]:
    """Datasets with what the store has of them: by name, or all that are registered or have examples."""
    documents = dict(catalogue.scan("dataset")) if names is None else catalogue.get("dataset", names)
    examples = _by_dataset(collections)
    vanished = _by_dataset(collections, Exists("vanished_in"))
    chosen = sorted({*documents, *examples} if names is None else set(names) & {*documents, *examples})
    last_runs = catalogue.get("last_run", chosen)
    return [
        RegisteredDataset(
            dataset=Dataset.model_validate(documents[name]["dataset"]) if name in documents else Dataset(name=name),
            registered_at=documents[name]["registered_at"] if name in documents else None,
            updated_at=documents[name]["updated_at"] if name in documents else None,
            examples=examples.get(name, 0),
            vanished=vanished.get(name, 0),
            versions=_versions(name, collections),
            last_run=last_runs[name]["run"] if name in last_runs else None,
        )
        for name in chosen
    ]


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    given = {name: value for name, value in fields.items() if value not in (None, [], (), {})}
    period = given.get("collection_period")
    return given | ({"collection_period": _given(period)} if isinstance(period, Mapping) else {})


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} was {_said(before.get(name))}, is {_said(after.get(name))} now"
        for name in Dataset.model_fields
        if before.get(name) != after.get(name)
    ]


def _said(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, Mapping):
        return f"{value.get('start', '?')} to {value.get('end', '?')}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _by_dataset(collections: Sequence[Collection], where: Exists | None = None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for collection in collections:
        for name, count in collection.facet("dataset", _MOST_VALUES, where).items():
            counts[name] = counts.get(name, 0) + count
    return counts


def _versions(name: str, collections: Sequence[Collection]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for collection in collections:
        for version, count in collection.facet("dataset_version", _MOST_VALUES, Equals("dataset", name)).items():
            counts[version] = counts.get(version, 0) + count
    return counts
