"""What `AttributionStore` knows of datasets and runs."""

from __future__ import annotations

from collections.abc import Iterable

from rise_store.errors import InputError
from rise_store.ingest.runs.outcomes import total
from rise_store.ingest.runs.reconcile import check_run
from rise_store.ingest.runs.registry import register, registered
from rise_store.ingest.runs.run_records import find_run, read_receipts, read_runs
from rise_store.records import Dataset, Receipt, RegisteredDataset, Run, RunCheck, RunState, validated
from rise_store.store import Backend, Collection


class Provenance:
    """Datasets and runs: the part of `AttributionStore` that tells where examples are from."""

    _backend: Backend

    def register(self, dataset: str | Dataset, *, unset: Iterable[str] = (), strict: bool = False) -> RegisteredDataset:
        """Register a dataset with its provenance, or change it; stored examples keep what they were stored with.

        Later ingestions of the name need not repeat the fields. Ingesting registers a dataset too.

        Args:
            dataset: its name, or a record: fields that are None stay as they were registered.
            unset: fields to forget.
            strict: refuse a licence that SPDX does not know.

        Raises:
            ConfigError: a field that cannot be used.
        """
        record = validated(Dataset, "dataset", {"name": dataset}) if isinstance(dataset, str) else dataset
        done = register(self._backend.catalogue(), record, unset=unset, strict=strict)
        return self.datasets(record.name)[0].model_copy(update={"changes": done.changes, "warnings": done.warnings})

    def datasets(self, name: str | None = None) -> list[RegisteredDataset]:
        """The datasets of the store by name, or the one of this name: registered ones, and those that have examples.

        Raises:
            InputError: the store has none of this name.
        """
        names = None if name is None else [name]
        found = registered(self._backend.catalogue(), self._all_collections(), names)
        if name is not None and not found:
            raise InputError(f"the store knows no dataset {name[:60]!r}; rise-store datasets lists them")
        return found

    def runs(self, *, dataset: str | None = None, state: RunState | None = None, limit: int | None = None) -> list[Run]:
        """Runs of ingestion, those that began last first: of a dataset, in a state, so many of them."""
        return read_runs(self._backend.catalogue(), dataset=dataset, state=state, limit=limit)

    def run(self, id: str) -> Run:
        """One run, by the beginning of its id; of an open one, `counts` and `blocks` are those of its receipts so far.

        Raises:
            InputError: there is none, or several begin like this.
        """
        catalogue = self._backend.catalogue()
        run = find_run(catalogue, id)
        if run.found is not None:
            return run
        receipts = read_receipts(catalogue, run.id)
        return run.model_copy(update={"counts": total(receipts), "blocks": len(receipts)})

    def receipts(self, run: str) -> list[Receipt]:
        """The receipts of a run, by the beginning of its id, in the order of their rows."""
        catalogue = self._backend.catalogue()
        return read_receipts(catalogue, find_run(catalogue, run).id)

    def check_run(self, run: str) -> RunCheck:
        """Hold the receipts of a run, by the beginning of its id, against what the store has now."""
        catalogue = self._backend.catalogue()
        found = find_run(catalogue, run)
        return check_run(found, catalogue, self._backend.open_collection(found.space))

    def _all_collections(self) -> list[Collection]:
        return [self._backend.open_collection(space.fingerprint) for space in self._backend.spaces()]
