"""What `AttributionStore` does to follow a corpus that grows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from rise_store.errors import ConfigError
from rise_store.ingest import KeepText, RunContext
from rise_store.ingest.runs.registry import check_dataset_license, register, registration_lines
from rise_store.ingest.watch import Pace, WatchTellers, watch_sources
from rise_store.ingestion import Ingestion, IngestOptions, split_options
from rise_store.profiles import CoarseBits, Profile, StorageChoice
from rise_store.records import Dataset, EstimatorConfig, IngestReport, WatchStatus, validated
from rise_store.store import Tombstones

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


class Watching(Ingestion):
    """Watch: the part of `AttributionStore` that keeps a store current."""

    def watch(
        self,
        sources: str | Path | Sequence[str | Path],
        *,
        dataset: str | Dataset,
        model: str | Path | SignatureEncoder | None = None,
        config: EstimatorConfig | None = None,
        space: str | None = None,
        new_space: bool = False,
        keep_text: KeepText = "full",
        max_rejects: int | None = None,
        rejects: str | Path | None = None,
        strict: bool = False,
        max_delay: float = 1.0,
        batch: int = 256,
        poll: float | None = None,
        once: bool = False,
        status: str | Path | None = None,
        metrics: tuple[str, int] | None = None,
        stop: threading.Event | None = None,
        on_trouble: Callable[[str], None] | None = None,
        on_block: Callable[[WatchStatus], None] | None = None,
        profile: Profile | None = None,
        quantization: CoarseBits | None = None,
        hnsw: bool = False,
        **options: Unpack[IngestOptions],
    ) -> IngestReport:
        """Store what arrives in sources until SIGTERM, Ctrl-C, `stop`, or the end of standard input.

        JSON Lines are read line by line while they grow, other files as wholes once they are left alone. How far each
        file was read is kept in the store, so that another call goes on there. While the store is out of reach or its
        disk full, the watch waits; nothing loses its place.

        Args:
            sources: folders, globs, files and fsspec addresses; `-` is standard input.
            dataset: its name, or a record with its provenance.
            model: hub name, local folder, GGUF file, or an encoder; by default the model of the store's space.
            config: estimator settings; by default those of the store's space, else the published ones.
            space: fingerprint of the space (its beginning is enough), when the store has several.
            new_space: allow a second signature space in a store that has one already.
            keep_text: store each text in full, as a preview of 200 characters, or not at all.
            max_rejects: rejected rows beyond which it stops; None for no limit.
            rejects: file that takes the rows which were not stored, as for `ingest`.
            strict: refuse licences that SPDX does not know, of the dataset and of rows.
            max_delay: seconds that a row waits for others to share its block.
            batch: rows in a block at most.
            poll: look every so many seconds instead of being told of changes by the system.
            once: end when nothing is left to be read.
            status: file that says how it is doing, as a `WatchStatus`; replaced every second.
            metrics: host and port to serve Prometheus metrics on.
            stop: ends it, as SIGTERM does; signals are handled in the main thread only.
            on_trouble: is told, in one line, of files that cannot be read and of a store that is out of reach.
            on_block: is told how it is doing after each block.
            profile: how a new space keeps signatures: float16 (default), turbo8, turbo4, or small (352 coordinates).
            quantization: bits of a second, coarser copy that approximate search of a new space scans.
            hnsw: whether a new space has a graph for approximate search.
            options: format ...: see `SourceOptions`; dtype, device ...: see `LoadOptions`.

        Raises:
            InputError: a source that cannot be watched, a missing package, or too many rejected rows.
            ConfigError: a setting outside its range, or a port that is taken.
            SpaceMismatchError: the model, settings or storage are not those of the store.
            ModelError, StoreError: the model or the store cannot be used.
        """
        for name, value in (("max_delay", max_delay), ("poll", poll)):
            if value is not None and not 0 < value <= 86_400:
                raise ConfigError(f"{name} is {value:g}; it is seconds, above 0 and at most 86,400")
        if not 1 <= batch <= 10_000:
            raise ConfigError(f"batch is {batch:,}; it is rows, from 1 to 10,000")
        reading, loading = split_options(options)
        record = validated(Dataset, "dataset", {"name": dataset}) if isinstance(dataset, str) else dataset
        check_dataset_license(record, strict)
        encoder, collection = self._encoders.for_ingest(
            model,
            config,
            loading,
            self._encoders.load,
            space=space,
            new_space=new_space,
            storage=StorageChoice(profile, quantization, hnsw),
        )
        catalogue = self._backend.catalogue()
        registration = register(catalogue, record, strict=strict)
        dataset_now = registration.dataset
        told = WatchTellers()
        for line in registration_lines(registration):
            (on_trouble or told.trouble)(line)
        return watch_sources(
            [str(sources)] if isinstance(sources, str | Path) else [str(source) for source in sources],
            dataset_now,
            encoder,
            collection,
            catalogue,
            location=self._backend.location,
            settings={"keep_text": keep_text, "strict": strict},
            reading=reading,
            render_chat=encoder.render_chat,
            context=lambda run_id: RunContext(
                dataset_now, keep_text, run_id, Tombstones(catalogue), strict, growing=True
            ),
            pace=Pace(max_delay, batch, poll, once),
            tellers=WatchTellers(
                None if status is None else Path(status), metrics, on_trouble or told.trouble, on_block or told.block
            ),
            stop=stop,
            max_rejects=max_rejects,
            rejects=rejects,
        )
