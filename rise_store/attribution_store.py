"""`AttributionStore`: everything the command line does, as a library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from rise_store.corpus import ExampleReader, RejectedRow, parse_row, read_examples
from rise_store.encoders import Encoders, LoadOptions, choose_space
from rise_store.errors import ConfigError, FilterError, InputError
from rise_store.ingest import KeepText, Progress, Run, ingest_examples
from rise_store.lifecycle import Progress as RowProgress
from rise_store.lifecycle import (
    annotate_examples,
    compact_collections,
    delete_examples,
    export_collection,
    import_file,
    import_index,
    migrate_spaces,
    parse_assignments,
)
from rise_store.records import (
    AnnotateReport,
    AttributionResult,
    CompactReport,
    Dataset,
    DeleteReport,
    EstimatorConfig,
    Example,
    ExportReport,
    ImportReport,
    IngestReport,
    MigrationReport,
    Query,
    SpaceInfo,
    StoreInfo,
    Weights,
    validated,
)
from rise_store.retrieval import Search, attribute, check_fields, parse_weights, parse_where
from rise_store.store import Backend, Collection, Filter, open_store

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

MOST_VALUES = 1_000_000  # distinct datasets or licences that are counted
Corpus = str | Path | Sequence[str | Path] | ExampleReader | Iterable[Example | Mapping[str, Any]]


class AttributionStore:
    """A store of training-data signatures on disk, and the questions it answers.

    A context manager: leaving it releases the store, which one process at a time can hold.
    """

    def __init__(self, backend: Backend) -> None:
        """Wrap an open store; `AttributionStore.open` is the usual way."""
        self._backend = backend
        self._encoders = Encoders(backend)

    @classmethod
    def open(cls, location: str | Path, *, create: bool = True) -> AttributionStore:
        """Open the store in a folder, or make one there.

        Raises:
            StoreError: the folder holds something else, or `create` is False and there is no store.
            StoreInUseError: another process holds the store.
        """
        return cls(open_store(str(location), create=create))

    def __enter__(self) -> AttributionStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._backend.__exit__(kind, error, trace)

    def close(self) -> None:
        """Release the store; closing twice is fine."""
        self._backend.close()

    def ingest(
        self,
        corpus: Corpus,
        *,
        dataset: str | Dataset,
        model: str | Path | SignatureEncoder | None = None,
        config: EstimatorConfig | None = None,
        space: str | None = None,
        new_space: bool = False,
        keep_text: KeepText = "full",
        max_rejects: int | None = 0,
        progress: Progress | None = None,
        **loading: Unpack[LoadOptions],
    ) -> IngestReport:
        """Store the signatures of a corpus; what is stored already costs nothing.

        Args:
            corpus: one or several JSON Lines files, or an iterable of examples: records, or rows as dicts.
            dataset: its name, or a record with its provenance.
            model: hub name, local folder, GGUF file, or an encoder; by default the model of the store's space.
            config: estimator settings; by default those of the store's space, else the published ones.
            space: fingerprint of the space (its beginning is enough), when the store has several.
            new_space: allow a second signature space in a store that has one already.
            keep_text: store each text in full, as a preview of 200 characters, or not at all.
            max_rejects: rejected rows beyond which the run stops; None for no limit.
            progress: is told of every batch and block.
            loading: dtype, device, revision, trust_remote_code, device_map ...: see `LoadOptions`.

        Raises:
            InputError: a row that cannot be used, with its file and line.
            SpaceMismatchError: the model or settings are not those of the store.
            ModelError, StoreError: the model or the store cannot be used.
        """
        source = _source(corpus)
        run = Run(validated(Dataset, "dataset", {"name": dataset}) if isinstance(dataset, str) else dataset, keep_text)
        encoder, collection = self._encoders.for_ingest(model, config, loading, space=space, new_space=new_space)
        report = ingest_examples(source, run, encoder, collection, max_rejects=max_rejects, progress=progress)
        collection.tidy()  # also after a run without news: an earlier one may have been killed before it
        return report

    def attribute(
        self,
        text: str | None = None,
        *,
        prompt: str | None = None,
        completion: str | None = None,
        k: int | None = None,
        weights: Weights | str | None = None,
        where: str | Sequence[str] = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        **loading: Unpack[LoadOptions],
    ) -> AttributionResult:
        """Which stored examples most influenced a model output: a completion after its prompt, or a text.

        See `attribute_all` for the other arguments and the errors.
        """
        query = make_query(text=text, prompt=prompt, completion=completion)
        results = self.attribute_all([query], k=k, weights=weights, where=where, model=model, space=space, **loading)
        return results[0]

    def attribute_all(
        self,
        queries: Sequence[Query],
        *,
        k: int | None = None,
        weights: Weights | str | None = None,
        where: str | Sequence[str] = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        **loading: Unpack[LoadOptions],
    ) -> list[AttributionResult]:
        """Answer many queries in one pass.

        Args:
            queries: what is asked.
            k: how many examples to return for each; by default 10, or all where fewer are stored.
            weights: of the channels, as a record or as `rh=1,gh=0.5`; 1 each by default.
            where: `KEY=VALUE` conditions, all of which must hold.
            model: where to load the model from, when it is not where the space says; or an encoder.
            space: fingerprint of the space (its beginning is enough), when the store has several.
            loading: dtype, device, revision, trust_remote_code, device_map ...: see `LoadOptions`.

        Raises:
            InputError: a query of fewer than 2 tokens.
            StoreError: an empty store, or several spaces and none chosen.
            SpaceMismatchError: the model is not the space's.
            ConfigError, FilterError: k, weights or filter are off.
        """
        chosen = choose_space(self._backend, space)
        collection = self._backend.open_collection(chosen.fingerprint)
        search = Search.plan(
            collection,
            k,
            parse_weights(weights) if isinstance(weights, str) else weights,
            [where] if isinstance(where, str) else where,
        )
        encoder = self._encoders.of_space(chosen, model, loading)
        return attribute(search, queries, encoder.encode_queries(queries).signatures)

    def info(self) -> StoreInfo:
        """What the store holds: spaces, counts by dataset and licence, sizes."""
        spaces = []
        for space in self._backend.spaces():
            collection = self._backend.open_collection(space.fingerprint)
            spaces.append(
                SpaceInfo(
                    space=space,
                    examples=collection.count(),
                    size_bytes=collection.size_bytes(),
                    datasets=collection.facet("dataset", limit=MOST_VALUES),
                    licenses=collection.facet("license", limit=MOST_VALUES),
                )
            )
        return StoreInfo(location=self._backend.location, spaces=tuple(spaces))

    def delete(
        self,
        ids: Sequence[str] = (),
        *,
        dataset: str | None = None,
        where: str | Sequence[str] = (),
        space: str | None = None,
        yes: bool = False,
    ) -> DeleteReport:
        """Delete the examples that all conditions name; without `yes`, only say which.

        Deleted examples are found no more, but their bytes stay on disk until `compact`.

        Args:
            ids: example ids, of any dataset or of `dataset`.
            dataset: name of a dataset.
            where: a filter.
            space: fingerprint of the only space to look in (its beginning is enough); by default all of them.
            yes: whether to act.

        Raises:
            ConfigError: no condition at all.
            FilterError: the filter cannot be read, or names a field that no stored example has.
        """
        collections = self._collections(space)
        filter_ = _checked_filter(where, collections)
        return delete_examples(collections, ids=ids, dataset=dataset, where=filter_, act=yes)

    def compact(self, *, space: str | None = None) -> CompactReport:
        """Free what deleted and replaced examples left on disk: none of their bytes remain.

        Raises:
            StoreFullError: the disk has no room for the rewritten files; nothing is lost.
        """
        return compact_collections(self._collections(space))

    def annotate(
        self,
        where: str | Sequence[str],
        *,
        set: Mapping[str, Any] | Sequence[str] = (),
        unset: Sequence[str] = (),
        space: str | None = None,
        dry_run: bool = False,
    ) -> AnnotateReport:
        """Change licence, source, dataset version or metadata of the examples that a filter lets through.

        Nothing is computed anew. Ingesting the same unchanged rows again leaves the changes alone.

        Args:
            where: a filter.
            set: field -> value, or `FIELD=VALUE` texts, in which a metadata value is read as JSON where it is JSON.
            unset: fields to remove.
            space: fingerprint of the only space to look in (its beginning is enough); by default all of them.
            dry_run: count only.

        Raises:
            ConfigError: no filter, nothing to change, or a field that may not be changed.
            FilterError: the filter cannot be read, or names a field that no stored example has.
            InputError: a nested path that leads through a value that is no object.
        """
        collections = self._collections(space)
        filter_ = _checked_filter(where, collections)
        if filter_ is None:
            raise ConfigError("nothing says what to annotate: give a filter, as in --where dataset=news")
        values = set if isinstance(set, Mapping) else parse_assignments(set)
        return annotate_examples(collections, filter_, set=values, unset=unset, dry_run=dry_run)

    def export(
        self,
        out: str | Path,
        *,
        space: str | None = None,
        where: str | Sequence[str] = (),
        progress: RowProgress | None = None,
    ) -> ExportReport:
        """Write a space into an .npz or .parquet file, from which `import_file` makes it again.

        Args:
            out: the file to write; it appears whole or not at all.
            space: fingerprint of the space (its beginning is enough), when the store has several.
            where: a filter; by default all examples.
            progress: is told rows done and rows in all.

        Raises:
            ConfigError: another ending, or pyarrow is not installed.
            InputError: the file cannot be written.
            FilterError: the filter cannot be read, or names a field that no stored example has.
        """
        chosen = choose_space(self._backend, space)
        collection = self._backend.open_collection(chosen.fingerprint)
        filter_ = _checked_filter(where, [collection])
        tables = self._backend.tables(chosen.fingerprint)
        return export_collection(collection, tables, Path(out), where=filter_, progress=progress)

    def import_file(
        self, source: str | Path, *, new_space: bool = False, progress: RowProgress | None = None
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
        progress: RowProgress | None = None,
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
        self, target: str | Path, *, space: str | None = None, progress: RowProgress | None = None
    ) -> MigrationReport:
        """Copy all spaces, or one of them, into another store, which is made where there is none.

        What the target holds already is skipped, so a repeated run goes on after a kill. In the end counts and a
        random sample of signatures are compared.

        Args:
            target: a folder or a server.
            space: fingerprint of the only space to copy (its beginning is enough).
            progress: is told examples done and examples in all.

        Raises:
            StoreError: this store is empty, a store cannot be used, or the copy is not equal.
        """
        chosen = [choose_space(self._backend, space)] if space or not self._backend.spaces() else self._backend.spaces()
        with open_store(str(target), create=True) as other:
            return migrate_spaces(self._backend, other, chosen, progress=progress)

    def _collections(self, space: str | None) -> list[Collection]:
        """The collections of all spaces, or of the one that a fingerprint names."""
        spaces = [choose_space(self._backend, space)] if space else self._backend.spaces()
        return [self._backend.open_collection(one.fingerprint) for one in spaces]


def make_query(**fields: str | None) -> Query:
    """A query record from `id`, `text`, `prompt` and `completion`.

    Raises:
        InputError: neither a text nor a prompt with a completion, or both.
    """
    return validated(Query, "query", {name: value for name, value in fields.items() if value is not None}, InputError)


def _checked_filter(where: str | Sequence[str], collections: Sequence[Collection]) -> Filter | None:
    """The filter; `FilterError` when it cannot be read, or names a field that no example of any collection has."""
    filter_ = parse_where([where] if isinstance(where, str) else where)
    if filter_ is None:
        return None
    errors = []
    for collection in collections:
        try:
            check_fields(filter_, collection)
        except FilterError as error:
            errors.append(error)
    if errors and len(errors) == len(collections):
        raise errors[0]
    return filter_


def _source(corpus: Corpus) -> Iterable[Example | RejectedRow]:
    if isinstance(corpus, str | Path):
        return read_examples([corpus])
    if isinstance(corpus, ExampleReader):
        return corpus
    if isinstance(corpus, Sequence):
        paths = [item for item in corpus if isinstance(item, str | Path)]
        if paths and len(paths) == len(corpus):
            return read_examples(paths)
    return _rows(corpus)


def _rows(corpus: Iterable[Any]) -> Iterator[Example | RejectedRow]:
    for number, row in enumerate(corpus, 1):
        location = f"row {number}"
        if isinstance(row, Example | RejectedRow):
            yield row
        elif isinstance(row, Mapping):
            try:
                yield parse_row(row, location)
            except InputError as error:
                yield RejectedRow(location, str(error))
        else:
            raise InputError(f"{location} is a {type(row).__name__}; give examples as records or as rows (dicts)")
