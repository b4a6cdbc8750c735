"""What `AttributionStore` does with examples once they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from rise_store.encoders import LoadOptions, choose_space
from rise_store.errors import ConfigError, FilterError
from rise_store.lifecycle import (
    Progress,
    annotate_examples,
    compact_collections,
    delete_examples,
    export_collection,
    import_file,
    import_index,
    migrate_spaces,
    parse_assignments,
    tombstones_of,
)
from rise_store.records import (
    AnnotateReport,
    CompactReport,
    Dataset,
    DeleteReport,
    EstimatorConfig,
    ExportReport,
    ImportReport,
    MigrationReport,
    TombstoneReport,
    validated,
)
from rise_store.retrieval import Where, check_fields, parse_where
from rise_store.store import (
    OWN_FIELDS,
    And,
    Backend,
    Collection,
    Exists,
    Filter,
    Not,
    Or,
    Prefix,
    Tombstones,
    open_store,
)

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


class StoredExamples:
    """Delete, compact, annotate, export, import, migrate: the part of `AttributionStore` that needs no encoder."""

    _backend: Backend

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        dataset: str | None = None,
        where: Where = (),
        space: str | None = None,
        yes: bool = False,
        tombstone: bool = False,
        reason: str = "",
    ) -> DeleteReport:
        """Delete the examples that all conditions name; without `yes`, only say which.

        Deleted examples are found no more, but their bytes stay on disk until `compact`.

        Args:
            ids: example ids, of any dataset or of `dataset`; of an empty list, nothing.
            dataset: name of a dataset.
            where: conditions, all of which must hold: in the language of `docs/filters.md`, as JSON or as a dict.
            space: fingerprint of the only space to look in (its beginning is enough); by default all of them that have
                the fields of `where`.
            yes: whether to act.
            tombstone: whether to keep the examples from coming back, under their keys as well as any example of equal
                content: ingesting and importing them is refused from now on.
            reason: what the tombstones say; kept as it is, so it should name no content.

        Raises:
            ConfigError: no condition at all, `ids` is a text, or a reason without `tombstone`.
            FilterError: the filter cannot be read, or names a field that no stored example has, also to ask whether it
                exists.
        """
        filter_, collections = _to_change(where, self._collections(space))
        if reason and not tombstone:
            raise ConfigError("a reason is kept with tombstones; ask for them too, with --tombstone")
        return delete_examples(
            collections,
            ids=ids,
            dataset=dataset,
            where=filter_,
            act=yes,
            tombstones=Tombstones(self._backend.catalogue()) if tombstone and yes else None,
            reason=reason,
            everywhere=self._collections(None),
        )

    def tombstones(self, *, lift: str | None = None, yes: bool = False) -> TombstoneReport:
        """What was erased and may not come back: how much, when and why; nothing says what it was.

        Args:
            lift: id of a set of tombstones that was made by mistake: with `yes` its examples may come back, but those
                that another set holds too.
            yes: whether to lift it.

        Raises:
            ConfigError: there is no such set.
        """
        return tombstones_of(Tombstones(self._backend.catalogue()), lift=lift, act=yes)

    def compact(self, *, space: str | None = None) -> CompactReport:
        """Free what deleted and replaced examples left on disk: none of their bytes remain.

        Raises:
            StoreFullError: the disk has no room for the rewritten files; nothing is lost.
        """
        report = compact_collections(self._collections(space))
        if space is None and self._backend.catalogue_bytes() != 0:
            self._backend.catalogue().compact()
        return report

    def annotate(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | Sequence[str] = (),
        unset: Sequence[str] = (),
        space: str | None = None,
        dry_run: bool = False,
    ) -> AnnotateReport:
        """Change licence, source, dataset version or metadata of the examples that a filter lets through.

        Nothing is computed anew. Ingesting the same unchanged rows again leaves the changes alone.

        Args:
            where: conditions, all of which must hold: in the language of `docs/filters.md`, as JSON or as a dict.
            set: field -> value, or `FIELD=VALUE` texts, in which a metadata value is read as JSON where it is JSON.
            unset: fields to remove.
            space: fingerprint of the only space to look in (its beginning is enough); by default all of them that have
                the fields of `where`.
            dry_run: count only.

        Raises:
            ConfigError: no filter, nothing to change, or a field that may not be changed.
            FilterError: the filter cannot be read, or names a field that no stored example has, also to ask whether it
                exists.
            InputError: a nested path that leads through a value that is no object.
        """
        filter_, collections = _to_change(where, self._collections(space))
        if filter_ is None:
            raise ConfigError("nothing says what to annotate: give a filter, as in --where dataset=news")
        values = set if isinstance(set, Mapping) else parse_assignments(set)
        return annotate_examples(collections, filter_, set=values, unset=unset, dry_run=dry_run)

    def export(
        self,
        out: str | Path,
        *,
        space: str | None = None,
        where: Where = (),
        progress: Progress | None = None,
    ) -> ExportReport:
        """Write a space into an .npz or .parquet file, from which `import_file` makes it again.

        Args:
            out: the file to write; it appears whole or not at all.
            space: fingerprint of the space (its beginning is enough), when the store has several.
            where: conditions, as for `delete`; by default all examples.
            progress: is told rows done and rows in all.

        Raises:
            ConfigError: another ending, or pyarrow is not installed.
            InputError: the file cannot be written.
            FilterError: the filter cannot be read, or names a field that no stored example has.
        """
        chosen = choose_space(self._backend, space)
        collection = self._backend.open_collection(chosen.fingerprint)
        filter_ = parse_where(where)
        if filter_ is not None:
            check_fields(filter_, collection)
        tables = self._backend.tables(chosen.fingerprint)
        return export_collection(collection, tables, Path(out), where=filter_, progress=progress)

    def import_file(
        self, source: str | Path, *, new_space: bool = False, progress: Progress | None = None
    ) -> ImportReport:
        """Store what `export` wrote; creates its space where the store has none of its fingerprint.

        Idempotent: rows that are stored already, equal, are only counted.

        Args:
            source: an .npz or .parquet file.
            new_space: allow a second space beside another one.
            progress: is told rows done and rows in all.

        Raises:
            InputError: the file is no export, damaged, or has a bad row, which is named.
            SpaceMismatchError: the store has another space, and `new_space` is False.
        """
        return import_file(self._backend, Path(source), new_space=new_space, progress=progress)

    def import_index(
        self,
        folder: str | Path,
        *,
        dataset: str | Dataset,
        model: str | Path | SignatureEncoder | None = None,
        config: EstimatorConfig | None = None,
        new_space: bool = False,
        progress: Progress | None = None,
        **loading: Unpack[LoadOptions],
    ) -> ImportReport:
        """Store the rows of an index of the published RISE engine as examples that queries match.

        Args:
            folder: the index: manifest.json, projections.npz, shards/.
            dataset: what its rows become examples of: a name, or a record with its provenance.
            model: hub name, local folder, GGUF file or an encoder; by default the one that the index names.
            config: settings that were set explicitly in it replace those of the index.
            new_space: allow a second space beside another one.
            progress: is told rows done and rows in all.
            loading: dtype, device, revision, trust_remote_code, device_map ...: see `LoadOptions`.

        Raises:
            InputError: the folder is no index, or is damaged.
            ConfigError: no model is known, or the index was made with settings that cannot be reproduced.
            SpaceMismatchError: the model does not fit, or the store has another space and `new_space` is False.
        """
        return import_index(
            self._backend,
            Path(folder),
            validated(Dataset, "dataset", {"name": dataset}) if isinstance(dataset, str) else dataset,
            model=model,
            stated=config,
            new_space=new_space,
            progress=progress,
            **loading,
        )

    def migrate_to(
        self,
        target: str | Path,
        *,
        space: str | None = None,
        new_space: bool = False,
        progress: Progress | None = None,
    ) -> MigrationReport:
        """Copy all spaces, or one of them, into another store, which is made where there is none.

        What the target holds already is skipped, so a repeated run goes on after a kill. In the end counts and a
        random sample of signatures are compared.

        Args:
            target: a folder or a server.
            space: fingerprint of the only space to copy (its beginning is enough).
            new_space: allow spaces beside those that only the target has.
            progress: is told examples done and examples in all.

        Raises:
            StoreError: this store is empty, a store cannot be used, or the copy is not equal.
            SpaceMismatchError: the target has another space, and `new_space` is False.
        """
        spaces = self._backend.spaces()
        chosen = spaces if spaces and space is None else [choose_space(self._backend, space)]
        with open_store(str(target), create=True) as other:
            return migrate_spaces(self._backend, other, chosen, new_space=new_space, progress=progress)

    def _collections(self, space: str | None) -> list[Collection]:
        """The collections of all spaces, or of the one that a fingerprint names."""
        spaces = self._backend.spaces() if space is None else [choose_space(self._backend, space)]
        return [self._backend.open_collection(one.fingerprint) for one in spaces]


def _to_change(where: Where, collections: Sequence[Collection]) -> tuple[Filter | None, Sequence[Collection]]:
    """The filter, and the collections whose examples it is about: those that have all of its fields.

    Elsewhere a condition that denies something, as in topic != chess, would let every example through.

    Raises:
        FilterError: the filter cannot be read, or no collection has all of its fields.
    """
    filter_ = parse_where(where)
    if filter_ is None:
        return None, collections
    meant: list[Collection] = []
    errors: list[FilterError] = []
    for collection in collections:
        try:
            check_fields(filter_, collection)
            for field in sorted(set(_asked_for(filter_)) - set(OWN_FIELDS)):
                check_fields(Prefix(field, ""), collection)  # `not licnse exists` would let every example through
            meant.append(collection)
        except FilterError as error:
            errors.append(error)
    if errors and not meant:
        raise errors[0]
    return filter_, meant


def _asked_for(where: Filter) -> Iterator[str]:
    """Fields of which a filter asks whether they exist."""
    if isinstance(where, And | Or):
        for part in where.parts:
            yield from _asked_for(part)
    elif isinstance(where, Not):
        yield from _asked_for(where.part)
    elif isinstance(where, Exists):
        yield where.field
