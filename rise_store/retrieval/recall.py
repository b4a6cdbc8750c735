"""The recall audit: how much of the exact answer each approximate search finds, on a store's own rows."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import numpy as np

from rise_store.errors import ConfigError, FilterError, StoreError
from rise_store.records import ApproximateSearch, RecallMeasurement, RecallReport
from rise_store.retrieval.approximate import HOW_TO, approximations, to_store
from rise_store.retrieval.plan import DEFAULT_K
from rise_store.retrieval.where import Where, check_fields, format_where, parse_where
from rise_store.store import Approximation, Collection, Filter, Hit, SearchRequest, StoredPoint

DEFAULT_SAMPLE = 200
DEFAULT_AT_LEAST = 0.99
_TIE = 1e-6  # scores closer than this are the same: a twin of the last row of the exact answer is no miss

RecallProgress = Callable[[int, int], None]
"""Is told of searches done and searches in all."""


def measure_recall(
    collection: Collection,
    *,
    sample: int = DEFAULT_SAMPLE,
    k: int | None = None,
    at_least: float = DEFAULT_AT_LEAST,
    where: Where = (),
    seed: int | None = None,
    progress: RecallProgress | None = None,
) -> RecallReport:
    """Ask with stored signatures, exactly and with each approximate setting that the space has.

    The row that is asked with is left out of both answers; a row that ties with the last one of the exact answer counts
    as found. Recommended is the fastest setting whose mean recall is at least `at_least` and which is faster than exact
    search; exact search where there is none.

    Args:
        collection: the stored examples.
        sample: how many of them to ask with, drawn at random; all where fewer are stored.
        k: length of the answers; by default 10, or all others where fewer are stored.
        at_least: recall that a setting must reach, 0 to 1.
        where: conditions of the search, see `parse_where`; the rows that are asked with need not meet them.
        seed: draws the same rows again from an unchanged store.
        progress: is told of every search.

    Raises:
        StoreError: the collection is empty, or holds a single example.
        ConfigError: sample, k, at_least or seed outside its range.
        FilterError: a filter that cannot be read, or lets nothing through.
    """
    stored = collection.count()
    if stored == 0:
        raise StoreError("the store holds no examples; ingest a corpus first")
    if stored == 1:
        raise StoreError("the store holds 1 example, and without its own row every answer is empty; ingest more first")
    if k is None:
        k = min(DEFAULT_K, stored - 1)
    if sample < 1:
        raise ConfigError(f"sample is {sample}; ask with at least 1 stored example")
    if not 1 <= k < stored:
        raise ConfigError(f"k is {k}, but a stored example has {stored - 1} others; choose k from 1 to {stored - 1}")
    if not 0 < at_least <= 1:
        raise ConfigError(f"at_least is {at_least}; a recall lies above 0 and is at most 1")
    if seed is not None and seed < 0:
        raise ConfigError(f"seed is {seed}; give an integer from 0 on")
    filter_ = parse_where(where)
    candidates = stored
    if filter_ is not None:
        check_fields(filter_, collection)
        candidates = collection.count(filter_)
    if candidates < 2:
        raise FilterError(f"the filter lets {candidates} examples through; recall takes at least 2")

    settings = approximations(collection.space.storage)
    asked = _draw(collection, sample, seed)
    total, done = (1 + len(settings)) * len(asked), 0

    def ask(approximate: ApproximateSearch | None) -> tuple[list[list[Hit]], float]:
        nonlocal done
        approximation = to_store(approximate)
        _others(collection, asked[0], k, filter_, approximation)  # what is read for the first time is read here
        answers, times = [], []
        for point in asked:
            began = time.perf_counter()
            answers.append(_others(collection, point, k, filter_, approximation))
            times.append(1e3 * (time.perf_counter() - began))
            done += 1
            if progress:
                progress(done, total)
        return answers, statistics.median(times)

    exact, milliseconds = ask(None)
    measurements = [
        RecallMeasurement(approximate=None, recall=1.0, recall_low=1.0, milliseconds=round(milliseconds, 3))
    ]
    for setting in settings:
        answers, milliseconds = ask(setting)
        found = [found_of(wanted, got) for wanted, got in zip(exact, answers, strict=True) if wanted]
        recall = statistics.fmean(found)
        measurements.append(
            RecallMeasurement(
                approximate=setting,
                recall=recall,
                recall_low=wilson_low(recall, len(found)),
                milliseconds=round(milliseconds, 3),
            )
        )
    recommended, reason = recommend(measurements, at_least)
    return RecallReport(
        space=collection.space.fingerprint,
        storage=collection.space.storage,
        examples=candidates,
        where=None if filter_ is None else format_where(filter_),
        queries=len(asked),
        k=k,
        at_least=at_least,
        measurements=tuple(measurements),
        recommended=recommended,
        reason=reason,
    )


def found_of(exact: Sequence[Hit], got: Sequence[Hit]) -> float:
    """Share of an exact answer that another one has; what ties with its last row counts as a row of it."""
    wanted, last = {hit.id for hit in exact}, exact[-1].score
    return min(sum(hit.id in wanted or hit.score >= last - _TIE for hit in got), len(exact)) / len(exact)


def wilson_low(mean: float, count: int, z: float = 1.96) -> float:
    """Lower end of Wilson's interval of a mean of `count` values from 0 to 1.

    It takes them for zeros and ones, of which none of that mean vary more, so it errs on the low side.
    """
    spread = z * math.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2))
    return max(0.0, (mean + z**2 / (2 * count) - spread) / (1 + z**2 / count))


def recommend(measurements: Sequence[RecallMeasurement], at_least: float) -> tuple[ApproximateSearch | None, str]:
    """The fastest setting that is good enough and beats exact search, which stands first; None for exact search."""
    exact, *others = measurements
    if not others:
        return None, f"exact search: this space has no approximate one; {HOW_TO}"
    good = [one for one in others if one.recall >= at_least]
    if not good:
        best = max(others, key=lambda one: one.recall)
        return None, f"exact search: no setting reaches a recall of {at_least:g}; the best has {best.recall:.4f}"
    fastest = min(good, key=lambda one: one.milliseconds)
    if fastest.milliseconds >= exact.milliseconds:
        return None, f"exact search: no setting with a recall of {at_least:g} or more is faster"
    assert fastest.approximate is not None
    times = exact.milliseconds / fastest.milliseconds
    reason = f"the fastest with a recall of {at_least:g} or more, {times:.1f} times as fast as exact search"
    return fastest.approximate, reason


def _draw(collection: Collection, size: int, seed: int | None) -> list[StoredPoint]:
    if seed is None:
        return collection.sample(size, with_vectors=True)
    # Ids are hashes, so that those from a random one on are a random sample, and nothing else need be read.
    start = UUID(bytes=np.random.default_rng(seed).bytes(16))
    onwards = itertools.chain(collection.scroll(fields=(), after=start), collection.scroll(fields=()))
    ids = dict.fromkeys(point.id for point in itertools.islice(onwards, size))  # twice, where fewer are stored
    return list(collection.retrieve(list(ids), with_vectors=True).values())


def _others(
    collection: Collection, point: StoredPoint, k: int, where: Filter | None, approximation: Approximation | None
) -> list[Hit]:
    assert point.vector is not None
    (hits,) = collection.search([SearchRequest(point.vector, k + 1, where, fields=())], approximation)
    return [hit for hit in hits if hit.id != point.id][:k]
