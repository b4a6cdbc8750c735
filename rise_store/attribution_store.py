"""`AttributionStore`: everything the command line does, as a library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from rise_store.corpus import ExampleReader, RejectedRow, parse_row, read_examples
from rise_store.encoders import Encoders, LoadOptions, choose_space
from rise_store.errors import InputError
from rise_store.ingest import KeepText, Progress, Run, ingest_examples
from rise_store.profiles import CoarseBits, Profile, StorageChoice
from rise_store.records import (
    AttributionResult,
    Dataset,
    EstimatorConfig,
    Example,
    IngestReport,
    Query,
    SnapshotReport,
    SpaceInfo,
    StoreInfo,
    VerifyReport,
    Weights,
    validated,
)
from rise_store.retrieval import Search, Where, attribute, parse_weights
from rise_store.store import Backend, open_store
from rise_store.store.sizes import logical_bytes
from rise_store.store.snapshots import FileProgress, restore_store, snapshot_store
from rise_store.store.verification import VerifyProgress, verify_store

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
        profile: Profile | None = None,
        quantization: CoarseBits | None = None,
        hnsw: bool = False,
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
            profile: how a new space keeps signatures: float16 (default), turbo8, turbo4, or small (352 coordinates).
            quantization: bits of a second, coarser copy that approximate search of a new space scans.
            hnsw: whether a new space has a graph for approximate search.
            loading: dtype, device, revision, trust_remote_code, device_map ...: see `LoadOptions`.

        Raises:
            InputError: a row that cannot be used, with its file and line.
            SpaceMismatchError: the model, settings or storage are not those of the store.
            ModelError, StoreError: the model or the store cannot be used.
        """
        source = _source(corpus)
        run = Run(validated(Dataset, "dataset", {"name": dataset}) if isinstance(dataset, str) else dataset, keep_text)
        storage = StorageChoice(profile, quantization, hnsw)
        encoder, collection = self._encoders.for_ingest(
            model, config, loading, space=space, new_space=new_space, storage=storage
        )
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
        where: Where = (),
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
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        **loading: Unpack[LoadOptions],
    ) -> list[AttributionResult]:
        """Answer many queries in one pass.

        Args:
            queries: what is asked.
            k: how many examples to return for each; by default 10, or all where fewer are stored.
            weights: of the channels, as a record or as `rh=1,gh=0.5`; 1 each by default.
            where: conditions, all of which must hold: in the language of `docs/filters.md`, as JSON or as a dict.
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
            where,
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
                    logical_bytes=logical_bytes(collection),
                    datasets=collection.facet("dataset", limit=MOST_VALUES),
                    licenses=collection.facet("license", limit=MOST_VALUES),
                )
            )
        return StoreInfo(location=self._backend.location, spaces=tuple(spaces))

    @staticmethod
    def verify(location: str | Path, *, progress: VerifyProgress | None = None) -> VerifyReport:
        """Check every file and every row of the store at `location`, which need not be fit to be opened.

        Args:
            location: of a store that no process has open.
            progress: is told what is checked, how much of it was, and how much there is.

        Raises:
            StoreInUseError: a process has the store open.
            StoreError: there is no store.
        """
        return verify_store(str(location), open_store, progress or (lambda what, done, total: None))

    @staticmethod
    def snapshot(location: str | Path, folder: str | Path, *, progress: FileProgress | None = None) -> SnapshotReport:
        """Copy the store at `location`, which no process has open, into the new folder `folder`, with checksums.

        Args:
            location: of the store.
            folder: appears when the snapshot is complete.
            progress: is told the bytes copied, and how many there are.

        Raises:
            StoreInUseError: a process has the store open.
            StoreError: the store is damaged, `folder` is not empty, or the disk is too full.
        """
        return snapshot_store(str(location), Path(folder), progress or (lambda done, total: None))

    @staticmethod
    def restore(folder: str | Path, location: str | Path, *, progress: FileProgress | None = None) -> SnapshotReport:
        """Make a new store at `location` from the snapshot in `folder`.

        Args:
            folder: what `snapshot` made.
            location: a new or empty folder.
            progress: is told the bytes copied, and how many there are.

        Raises:
            StoreError: a file of the snapshot is missing or damaged, `location` is not empty, or the disk is too full;
                nothing is left of the new store.
        """
        return restore_store(Path(folder), str(location), progress or (lambda done, total: None))


def make_query(**fields: str | None) -> Query:
    """A query record from `id`, `text`, `prompt` and `completion`.

    Raises:
        InputError: neither a text nor a prompt with a completion, or both.
    """
    return validated(Query, "query", {name: value for name, value in fields.items() if value is not None}, InputError)


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
