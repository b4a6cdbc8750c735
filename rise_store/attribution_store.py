"""`AttributionStore`: everything the command line does, as a library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from rise_store.asking import Asking
from rise_store.asking import AskOptions as AskOptions
from rise_store.backups import Backups
from rise_store.encoders import Encoders
from rise_store.errors import InputError
from rise_store.evaluating import Evaluating
from rise_store.explaining import Explaining
from rise_store.provenance import Provenance
from rise_store.records import (
    AttributionGroups,
    AttributionResult,
    FieldIndex,
    Query,
    RecallReport,
    SpaceInfo,
    StoreInfo,
    validated,
)
from rise_store.retrieval import (
    SecondMoments,
    Where,
    check_over,
    create_index,
    group_field,
    influence,
    list_indexes,
    measure_recall,
    query_signatures,
)
from rise_store.retrieval.groups import DEFAULT_OVER
from rise_store.retrieval.recall import DEFAULT_AT_LEAST, DEFAULT_SAMPLE, RecallProgress
from rise_store.retrieval.stability import Bootstrap, BootstrapProgress
from rise_store.store import Backend, IndexKind, open_store
from rise_store.store.sizes import logical_bytes
from rise_store.stored_examples import StoredExamples
from rise_store.task_runs import TaskRuns
from rise_store.valuation import Valuation
from rise_store.watching import Watching

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

MOST_VALUES = 1_000_000  # distinct datasets or licences that are counted


class AttributionStore(
    TaskRuns, Explaining, Valuation, Evaluating, Asking, Watching, Provenance, StoredExamples, Backups
):
    """A store of training-data signatures on disk, and the questions it answers.

    A context manager: leaving it releases the store, which one process at a time can hold.
    """

    def __init__(self, backend: Backend) -> None:
        """Wrap an open store; `AttributionStore.open` is the usual way."""
        self._backend = backend
        self._encoders = Encoders(backend)
        self._second_moments = SecondMoments()

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

    def attribute(
        self,
        text: str | None = None,
        *,
        prompt: str | None = None,
        completion: str | None = None,
        against: str | None = None,
        against_prompt: str | None = None,
        k: int | None = None,
        offset: int = 0,
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        bootstrap: int | None = None,
        seed: int = 0,
        **options: Unpack[AskOptions],
    ) -> AttributionResult:
        """Which stored examples most influenced a model output: a completion after its prompt, or a text.

        With `against`, what explains it rather than another completion (after `against_prompt`, else the same prompt),
        or rather than another text.

        See `attribute_all` for the other arguments and the errors.
        """
        query = make_query(
            text=text, prompt=prompt, completion=completion, against=against, against_prompt=against_prompt
        )
        results = self.attribute_all(
            [query],
            k=k,
            offset=offset,
            where=where,
            model=model,
            space=space,
            bootstrap=bootstrap,
            seed=seed,
            **options,
        )
        return results[0]

    def attribute_all(
        self,
        queries: Sequence[Query],
        *,
        k: int | None = None,
        offset: int = 0,
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        bootstrap: int | None = None,
        seed: int = 0,
        progress: BootstrapProgress | None = None,
        **options: Unpack[AskOptions],
    ) -> list[AttributionResult]:
        """Answer many queries in one pass.

        Args:
            queries: what is asked; a query's own `k` replaces the common one, its own filter holds beside `where`.
            k: how many examples to return for each; by default 10, or all where fewer are stored.
            offset: how many of the best examples to pass over first, for pages; ranks count them.
            where: conditions, all of which must hold: in the language of `docs/filters.md`, as JSON or as a dict.
            model: where to load the model from, when it is not where the space says; or an encoder.
            space: fingerprint of the space (its beginning is enough), when the store has several; that of the preset,
                where one is named.
            bootstrap: how often to draw the positions of each query anew, to tell how stable the answer is; goes
                without an offset and an approximate search.
            seed: of these draws.
            progress: is told how many draws were answered, and of all of them.
            options: metric, weights, lambdas, precondition, preset, min_score, approximate, oversampling, ef: see
                `AskOptions` and `SearchOptions`; dtype, device, revision, trust_remote_code, device_map ...: see
                `LoadOptions`.

        Raises:
            InputError: a query of fewer than 2 tokens.
            StoreError: an empty store, or several spaces and none chosen.
            SpaceMismatchError: the model is not the space's.
            ConfigError, FilterError: k, options or filter are off.
        """
        collection = self._collection(space, options.get("preset"))
        search, loading = self._search(collection, queries, options, k=k, offset=offset, where=where)
        drawn = Bootstrap.plan(search, bootstrap, seed)
        encoder = self._encoders.of_space(collection.space, model, loading)
        return self._answers(search, encoder, drawn, progress)

    def influence_by(
        self,
        field: str,
        queries: Sequence[Query],
        *,
        over: int | None = DEFAULT_OVER,
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        **options: Unpack[AskOptions],
    ) -> list[AttributionGroups]:
        """Which share of the influence on each query comes from which dataset, source, licence or other group.

        Args:
            field: payload field whose values make the groups: dataset, source_uri, license, metadata.x ...
            queries: what is asked; a query's own `k` does not count.
            over: how many examples of largest score to consider; None for all.
            where: as for `attribute_all`, which has the other arguments and the errors.
        """
        collection = self._collection(space, options.get("preset"))
        search, loading = self._search(collection, queries, options, where=where)
        field = group_field(field, collection)
        check_over(search, over)
        encoder = self._encoders.of_space(collection.space, model, loading)
        return influence(search, query_signatures(encoder, queries), field, over)

    def recall(
        self,
        *,
        sample: int = DEFAULT_SAMPLE,
        k: int | None = None,
        at_least: float = DEFAULT_AT_LEAST,
        where: Where = (),
        seed: int | None = None,
        space: str | None = None,
        progress: RecallProgress | None = None,
    ) -> RecallReport:
        """How much of the exact answer each approximate search finds on stored rows; see `measure_recall`."""
        return measure_recall(
            self._collection(space),
            sample=sample,
            k=k,
            at_least=at_least,
            where=where,
            seed=seed,
            progress=progress,
        )

    def index(self, field: str, kind: IndexKind, *, space: str | None = None) -> FieldIndex:
        """Index a field, so that filters on it are fast; no example need have it yet.

        Args:
            field: a metadata field, `topic` or `metadata.topic`; the store indexes its own fields by itself.
            kind: keyword, integer, float or datetime.
            space: fingerprint of the space (its beginning is enough), when the store has several.

        Raises:
            FilterError: no such field can be indexed, or it has an index of another kind.
        """
        return create_index(self._collection(space), field, kind)

    def indexes(self, *, space: str | None = None) -> list[FieldIndex]:
        """The indexed fields of a space."""
        return list_indexes(self._collection(space))

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
        return StoreInfo(
            location=self._backend.location, spaces=tuple(spaces), catalogue_bytes=self._backend.catalogue_bytes()
        )


def make_query(**fields: str | None) -> Query:
    """A query record from `id`, `text`, `prompt`, `completion`, `against` and `against_prompt`.

    Raises:
        InputError: neither a text nor a prompt with a completion, or both.
    """
    return validated(Query, "query", {name: value for name, value in fields.items() if value is not None}, InputError)
