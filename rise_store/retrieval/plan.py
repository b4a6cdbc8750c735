"""Searches, checked against what is stored before a model is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from rise_store.errors import ConfigError, RiseStoreError, StoreError
from rise_store.records import ApproximateSearch, Preset, Query, QuerySet
from rise_store.retrieval.approximate import choose_approximation
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import Preconditioner
from rise_store.retrieval.presets import ScoringOptions, resolve_scoring
from rise_store.retrieval.second_moments import SecondMoments
from rise_store.retrieval.where import Where, check_fields, format_where, parse_where
from rise_store.store import Collection, Filter

DEFAULT_K = 10
MOST_OFFSET = 2**32 - 1  # more than any engine holds in a collection
MOST_HITS = 200_000  # that are asked for in one call, which holds them all


class SearchOptions(ScoringOptions, total=False):
    """How stored examples are scored and looked for; every key may be left out."""

    min_score: float | None  # leave out what scores less
    approximate: bool  # use what the space's storage offers instead of an exact search; goes without an offset
    oversampling: float | None  # of an approximate search: times k rows are rescored; 4
    ef: int | None  # of an approximate search through a graph: width of the walk


@dataclass(frozen=True)
class Question:
    """One query, or set of queries, with what is asked for it."""

    query: Query | QuerySet
    k: int
    where: str | None  # the filter, in the language of --where
    filter: Filter | None
    candidates: int  # stored examples that the filter lets through


@dataclass(frozen=True)
class Search:
    """A checked search: what to rank for each query, and how."""

    collection: Collection
    questions: tuple[Question, ...]
    scoring: Scoring
    offset: int = 0
    min_score: float | None = None
    approximate: ApproximateSearch | None = None
    preconditioner: Preconditioner | None = None
    preset: str | None = None  # name of the one that settings were taken from

    @classmethod
    def plan(
        cls,
        collection: Collection,
        queries: Sequence[Query | QuerySet],
        *,
        k: int | None = None,
        offset: int = 0,
        where: Where = (),
        preset: Preset | None = None,
        second_moments: SecondMoments | None = None,
        **options: Unpack[SearchOptions],
    ) -> Search:
        """Check a search against what is stored.

        Args:
            collection: the stored examples.
            queries: what is asked; each query may have a k and a filter of its own, but not those of sets.
            k: how many to return; by default 10, or all where fewer are stored.
            offset: how many to pass over first, in an exact search.
            where: conditions, all of which must hold for every query: see `parse_where`.
            preset: settings that count where `options` state none.
            second_moments: holds what preconditioning was estimated from for earlier searches.
            options: see `SearchOptions`.

        Raises:
            StoreError: the collection is empty.
            SpaceMismatchError: the preset was chosen for another space.
            ConfigError: k below 1 or above the number of stored examples, or options that do not fit each other or
                the space.
            FilterError: a field that no stored example has, or a condition that cannot be read.
        """
        stored = collection.count()
        if stored == 0:
            raise StoreError("the store holds no examples; ingest a corpus first")
        k = min(DEFAULT_K, stored) if k is None else _checked_k(k, stored)
        if not 0 <= offset <= MOST_OFFSET:
            raise ConfigError(f"offset is {offset}; it is a number of examples to pass over, 0 to {MOST_OFFSET}")
        min_score = options.get("min_score")
        if min_score is not None and not math.isfinite(min_score):
            raise ConfigError(f"min_score is {min_score}; give a finite number")
        scoring, alpha = resolve_scoring(collection.space, options, preset)
        approximate = _approximate(collection, scoring, options)
        if approximate is not None and offset:
            # A page farther on is another search, with other candidates: pages would overlap and leave out rows.
            raise ConfigError(
                f"offset is {offset}, but an approximate search has no pages; leave offset out and ask for a larger k, "
                "or search exactly"
            )
        filters = _Filters(collection, stored, where)
        questions = []
        for number, query in enumerate(queries, 1):
            own_where, own_k = (None, None) if isinstance(query, QuerySet) else (query.where, query.k)
            try:
                length = k if own_k is None else _checked_k(own_k, stored)
                questions.append(Question(query, length, *filters.of(own_where)))
            except RiseStoreError as error:
                if own_where is None and own_k is None:
                    raise
                raise type(error)(f"query {query.id or number}: {error}") from error
        preconditioner = None
        if alpha is not None:
            preconditioner = (second_moments or SecondMoments()).preconditioner(collection, scoring, alpha)
        return cls(
            collection,
            tuple(questions),
            scoring,
            offset,
            min_score,
            approximate,
            preconditioner,
            None if preset is None else preset.name,
        )

    @property
    def alpha(self) -> float | None:
        """Of the preconditioning; None without."""
        return None if self.preconditioner is None else self.preconditioner.alpha

    def fold(self, signatures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What to search with for queries of these signatures, (n, dim) both: metric, preconditioning and weights."""
        features = self.scoring.features(signatures)
        if self.preconditioner is not None:
            features = self.preconditioner(features)
        return self.scoring.fold(features)


class _Filters:
    """The common filter joined with those of queries, each read and counted once."""

    def __init__(self, collection: Collection, stored: int, common: Where) -> None:
        self._collection = collection
        self._stored = stored
        self._common = list(common) if isinstance(common, Sequence) and not isinstance(common, str) else [common]
        self._known: dict[str, tuple[str | None, Filter | None, int]] = {}
        self._read(())  # so that what is wrong with the common filter is not put down to a query

    def of(self, own: str | dict[str, Any] | None) -> tuple[str | None, Filter | None, int]:
        return self._read(() if own is None else (own,))

    def _read(self, own: tuple[Any, ...]) -> tuple[str | None, Filter | None, int]:
        key = repr(own)  # JSON has no integers beyond 64 bits, which a filter may name
        if key not in self._known:
            filter_ = parse_where([*self._common, *own])
            if filter_ is None:
                self._known[key] = (None, None, self._stored)
            else:
                check_fields(filter_, self._collection)
                self._known[key] = (format_where(filter_), filter_, self._collection.count(filter_))
        return self._known[key]


def _checked_k(k: int, stored: int) -> int:
    if not 1 <= k <= stored:
        raise ConfigError(f"k is {k}, but the store holds {stored} examples; choose k from 1 to {stored}")
    return k


def _approximate(collection: Collection, scoring: Scoring, options: SearchOptions) -> ApproximateSearch | None:
    oversampling, ef = options.get("oversampling"), options.get("ef")
    if not options.get("approximate"):
        if oversampling is not None or ef is not None:
            raise ConfigError(
                "oversampling and ef are settings of an approximate search; ask for it, or leave them out"
            )
        return None
    if scoring.metric != "dot":
        raise ConfigError(f"the metric {scoring.metric} is searched exactly; leave approximate out, or use metric dot")
    return choose_approximation(collection.space.storage, oversampling, ef)
