"""What `AttributionStore` does to take a corpus in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import Unpack

from rise_store.corpus import ExampleReader, RejectedRow, SourceOptions, open_examples, parse_row
from rise_store.corpus.chat import ChatRenderer
from rise_store.encoders import Encoders, LoadOptions
from rise_store.errors import ConfigError, InputError, StoreError
from rise_store.ingest import (
    PATIENCE_S,
    DeadLetters,
    Encoding,
    InProcess,
    KeepText,
    Notify,
    Placement,
    Progress,
    RayCluster,
    RunContext,
    RunLedger,
    WorkerPool,
    ingest_examples,
)
from rise_store.ingest.runs.registry import check_dataset_license, register, registration_lines
from rise_store.profiles import CoarseBits, Profile, StorageChoice
from rise_store.records import Dataset, EstimatorConfig, Example, IngestReport, validated
from rise_store.store import Backend, Collection, Tombstones

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

Corpus = str | Path | Sequence[str | Path] | ExampleReader | Iterable[Example | Mapping[str, Any]]


class IngestOptions(SourceOptions, LoadOptions, total=False):
    """How sources are read, and how the model is loaded."""


class Ingestion:
    """Ingest: the part of `AttributionStore` that reads corpora."""

    _backend: Backend
    _encoders: Encoders

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
        rejects: str | Path | None = None,
        partial: bool = False,
        strict: bool = False,
        notify: Notify = lambda line: None,
        progress: Progress | None = None,
        patience: float = PATIENCE_S,
        profile: Profile | None = None,
        quantization: CoarseBits | None = None,
        hnsw: bool = False,
        workers: int | None = None,
        gpus: Sequence[int] = (),
        ray: str | None = None,
        **options: Unpack[IngestOptions],
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
            rejects: file that takes the rows which were not stored, one `Reject` record a line; made with the first of
                them, readable by its owner only. `{run}` in it stands for the first 8 characters of the run's id.
            partial: the corpus is only a part of this version of the dataset: nothing is marked as vanished.
            strict: refuse licences that SPDX does not know, of the dataset and of rows.
            notify: is told lines for people as they come up: a registration that changed, a run that goes on, a
                store that goes away or is back.
            progress: is told of every batch and block.
            patience: seconds that the run waits for a store that cannot be reached, each time that it goes away.
            profile: how a new space keeps signatures: float16 (default), turbo8, turbo4, or small (352 coordinates).
            quantization: bits of a second, coarser copy that approximate search of a new space scans.
            hnsw: whether a new space has a graph for approximate search.
            workers: processes that encode, each with the model; they share the CPU unless `device` names another one.
            gpus: numbers of GPUs, each of which gets such a process.
            ray: address of a Ray cluster whose machines do the work, or "" for RAY_ADDRESS, else for this machine; the
                store must be on a server. `workers` says how many; by default one for each GPU, or core, it has.
            options: format, map, template ... of sources that are named: see `SourceOptions`; dtype, device, revision,
                trust_remote_code, device_map ...: see `LoadOptions`.

        Raises:
            InputError: a row that cannot be used, with its file and line.
            SpaceMismatchError: the model, settings or storage are not those of the store.
            ModelError, StoreError: the model or the store cannot be used.
            Interrupted: Ctrl-C or SIGTERM, where this is the main thread: what the model had was stored first. A second
                one raises `KeyboardInterrupt` at once.

        The corpus is read in a thread of its own, the model works in the calling one, and a third one stores.
        """
        reading, loading = split_options(options)
        source = open_corpus(corpus, reading)
        record = validated(Dataset, "dataset", {"name": dataset}) if isinstance(dataset, str) else dataset
        check_dataset_license(record, strict)
        storage = StorageChoice(profile, quantization, hnsw)
        with ExitStack() as started:
            encoding, render_chat, collection = self._models(
                started,
                model,
                config,
                loading,
                workers=workers,
                gpus=gpus,
                ray=ray,
                notify=notify,
                space=space,
                new_space=new_space,
                storage=storage,
            )
            if isinstance(source, ExampleReader):
                source.render_chat = render_chat
            catalogue = self._backend.catalogue()
            registration = register(catalogue, record, strict=strict)
            for line in registration_lines(registration):
                notify(line)
            record = registration.dataset
            manifests = source.manifests() if isinstance(source, ExampleReader) else ()
            if isinstance(source, ExampleReader) and not source.distinct:
                # Never resumed: of rows of one key the last counts, and passing over some would let an earlier one win.
                manifests = tuple(manifest.model_copy(update={"sha256": None}) for manifest in manifests)
            reading_settings = source.settings if isinstance(source, ExampleReader) else {}
            settings = {**reading_settings, "keep_text": keep_text, "strict": strict, "partial": partial}
            ledger = RunLedger.begin(catalogue, record, collection.space.fingerprint, manifests, settings)
            if ledger.resumed_rows:
                notify(f"resuming run {ledger.run.id}: {ledger.resumed_rows:,} rows are done")
            run = RunContext(record, keep_text, ledger.run.id, Tombstones(catalogue), strict)
            report = ingest_examples(
                source,
                run,
                encoding,
                collection,
                ledger,
                max_rejects=max_rejects,
                dead_letters=None if rejects is None else DeadLetters(rejects, ledger.run.id),
                progress=progress,
                patience_s=patience,
                notify=notify,
            )
            if ledger.run.rows == 0:
                notify(f"warning: the sources of dataset {record.name!r} have no rows")
            tidy_or_say(collection, notify)  # also after a run without news: an earlier one may have been killed
            return report

    def _models(
        self,
        started: ExitStack,
        model: str | Path | SignatureEncoder | None,
        config: EstimatorConfig | None,
        loading: LoadOptions,
        *,
        workers: int | None,
        gpus: Sequence[int],
        ray: str | None,
        notify: Notify,
        **choice: Any,
    ) -> tuple[Encoding | RayCluster, ChatRenderer, Collection]:
        """The models at work, whose processes `started` ends, how they render chats, and where signatures go."""
        hosts: WorkerPool | RayCluster
        if ray is not None:
            if gpus:
                raise ConfigError("--gpus names GPUs of this machine: with --ray, say --workers, and --device cuda")
            hosts = RayCluster(ray or None, self._backend.location, workers=workers)
        else:
            placement = Placement.choose(workers, gpus, loading)
            if placement is None:
                own, collection = self._encoders.for_ingest(model, config, loading, self._encoders.load, **choice)
                return InProcess(own), own.render_chat, collection
            hosts = WorkerPool(placement.devices, threads=placement.threads, notify=notify)
        started.enter_context(hosts)
        if not (model is None or isinstance(model, str | Path)):
            raise ConfigError("workers load the model themselves: give its name or folder instead of an encoder")
        encoder, collection = self._encoders.for_ingest(model, config, loading, hosts.load, **choice)
        return hosts, encoder.render_chat, collection


def tidy_or_say(collection: Collection, notify: Notify) -> None:
    """Tidy a collection; where it cannot be now, say so: everything is stored already, and the next run tidies."""
    try:
        collection.tidy()
    except StoreError as error:
        notify(f"warning: everything is stored, but searches are slower until the store is tidied: {error}")


def split_options(options: IngestOptions) -> tuple[SourceOptions, LoadOptions]:
    """What is about reading, and what is about loading the model."""
    parts: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name, value in options.items():
        parts[name not in SourceOptions.__annotations__][name] = value
    return cast(SourceOptions, parts[0]), cast(LoadOptions, parts[1])


def open_corpus(corpus: Corpus, options: SourceOptions) -> Iterable[Example | RejectedRow]:
    """The examples of a corpus, and the rows that are none; `options` are for sources that are named."""
    if isinstance(corpus, str | Path):
        return open_examples([corpus], **options)
    if isinstance(corpus, ExampleReader):
        return corpus
    if isinstance(corpus, Sequence):
        paths = [item for item in corpus if isinstance(item, str | Path)]
        if paths and len(paths) == len(corpus):
            return open_examples(paths, **options)
    given = ", ".join(name for name, value in options.items() if value)
    if given:
        raise ConfigError(f"{given}: only for sources that are named; map rows with rise_store.corpus.parse_mapping")
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
                yield RejectedRow(location, str(error), row=row)
        else:
            raise InputError(f"{location} is a {type(row).__name__}; give examples as records or as rows (dicts)")
