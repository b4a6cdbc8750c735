"""How far spaces that differ only in the seed of their sketch give the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rise_store.errors import FilterError
from rise_store.records import AttributionResult, SeedAgreement, Space
from rise_store.retrieval import Search, SecondMoments, attribute, check_fields, query_signatures
from rise_store.retrieval.stability import agreement
from rise_store.store import Backend, Collection

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


def seed_agreements(
    backend: Backend,
    search: Search,
    encoder: SignatureEncoder,
    answers: Sequence[AttributionResult],
    second_moments: SecondMoments,
) -> list[list[SeedAgreement]]:
    """For each answer of a search, its agreement with that of every space that differs only in the seed.

    Spaces of fewer than 2 examples, or without a field that a filter names, cannot be asked the same and are left out.
    """
    found: list[list[SeedAgreement]] = [[] for _ in answers]
    for space in _of_other_seeds(backend, search.collection.space):
        other = encoder.with_tables(space.estimator, backend.tables(space.fingerprint))
        if other.fingerprint != space.fingerprint:  # of other weights
            continue
        same = _elsewhere(search, backend.open_collection(space.fingerprint), second_moments)
        if same is not None:
            signatures = query_signatures(other, [question.query for question in same.questions])
            results = attribute(same, signatures)
            for own, answer, result in zip(found, answers, results, strict=True):
                own.append(agreement(answer, result, space.estimator.seed))
    return found


def _of_other_seeds(backend: Backend, space: Space) -> Iterator[Space]:
    for other in backend.spaces():
        estimator = space.estimator.model_copy(update={"seed": other.estimator.seed})
        alike = other.estimator == estimator and other.model.dtype == space.model.dtype
        if alike and other.architecture == space.architecture and other.fingerprint != space.fingerprint:
            yield other


def _elsewhere(search: Search, collection: Collection, second_moments: SecondMoments) -> Search | None:
    """The same search of another collection; None where it cannot be asked."""
    stored = collection.count()
    if stored < 2:
        return None
    questions = []
    for asked in search.questions:
        if asked.filter is not None:
            try:
                check_fields(asked.filter, collection)
            except FilterError:
                return None
        questions.append(replace(asked, k=min(asked.k, stored), candidates=collection.count(asked.filter)))
    preconditioner = None
    if search.alpha is not None:
        preconditioner = second_moments.preconditioner(collection, search.scoring, search.alpha)
    return replace(search, collection=collection, questions=tuple(questions), preconditioner=preconditioner)
