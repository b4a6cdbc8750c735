"""The signature that a query is asked with: its own, the difference of two, or the mean of several.

This is the first of the steps encode, combine, features, precondition, fold, search; the others are `Search.fold`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rise_store.errors import InputError
from rise_store.records import EstimatorConfig, Query, QuerySet

Array = npt.NDArray[np.float32]
SAME = 1e-3  # signatures nearer to each other than this differ by what rounding them to float16 may do
_EPSILON = 1e-8  # least length that a vector is divided by


class Encoded(Protocol):
    """What encoding gives, as `Signatures` does."""

    @property
    def signatures(self) -> Array:
        """(n, dim), rows of unit length."""
        ...


class Chunked(Protocol):
    """A query as it is encoded, as `QueryChunks` has it."""

    @property
    def chunks(self) -> list[list[int]]:
        """Token ids."""
        ...

    @property
    def loss_start(self) -> list[int]:
        """For each chunk, the first token whose prediction counts."""
        ...


class QueryEncoder(Protocol):
    """Encodes queries, as `SignatureEncoder` does."""

    @property
    def config(self) -> EstimatorConfig:
        """The estimator's settings."""
        ...

    def query_chunks(self, queries: Sequence[Query]) -> Sequence[Chunked]:
        """The token ids of queries."""
        ...

    def encode_queries(self, queries: Sequence[Query]) -> Encoded:
        """Signatures of queries, whatever they are asked against."""
        ...


def query_signatures(encoder: QueryEncoder, asked: Sequence[Query | QuerySet]) -> Array:
    """The signatures to ask with, (n, dim) float32, rows of unit length.

    A query with a counterfactual is asked with the difference of the two unit signatures, `unit(q - c)`; a set with the
    mean of its queries' signatures, `unit(q_1 + ... + q_m)`.

    Raises:
        InputError: a query or counterfactual of fewer than 2 tokens; one that is the same as its counterfactual; a set
            whose signatures cancel out.
    """
    queries = [query for one in asked for query in members(one)]
    others = [query.counterfactual for query in queries]
    against = [
        other.model_copy(update={"id": f"{query.id or number} (against)"})
        for number, (query, other) in enumerate(zip(queries, others, strict=True), 1)
        if other is not None
    ]
    encoded = encoder.encode_queries([*queries, *against]).signatures
    signatures, counterparts = encoded[: len(queries)].copy(), iter(encoded[len(queries) :])
    for number, other in enumerate(others):
        if other is not None:
            difference = signatures[number] - next(counterparts)
            if np.linalg.norm(difference) < SAME:
                reason = _sameness(encoder, queries[number], other)
                raise InputError(f"query {queries[number].id or number + 1}: {reason}")
            signatures[number] = unit(difference)
    own, rows = 0, []
    for one in asked:
        size = len(members(one))
        total = signatures[own : own + size].sum(axis=0)
        if isinstance(one, QuerySet) and np.linalg.norm(total) < SAME:
            raise InputError("the signatures of the set cancel out, so their mean asks nothing; use fusion rrf")
        rows.append(unit(total) if isinstance(one, QuerySet) else total)
        own += size
    return np.stack(rows) if rows else signatures


def _sameness(encoder: QueryEncoder, query: Query, other: Query) -> str:
    """Why a query and its counterfactual have the same signature, and what to do."""
    most = encoder.config.max_query_tokens
    own, against = encoder.query_chunks([query, other])
    written = [(one.prompt or "") + (one.completion or "") for one in (query, other)]
    cut = query.text is None and len(own.chunks[0]) == most
    if cut and own.chunks == against.chunks and written[0] != written[1]:
        if own.loss_start[0] == most - 1:  # where a completion that is cut off would have begun
            return (
                f"the prompt fills max_query_tokens ({most}), so nothing of the answers is left to tell them apart; "
                "shorten the prompt"
            )
        return f"the answers, behind their prompt, are the same up to max_query_tokens ({most}); shorten them"
    return (
        "what it is asked against has the same signature, so nothing tells them apart; give another one to ask "
        "against, or none"
    )


def members(one: Query | QuerySet) -> tuple[Query, ...]:
    """The queries of a set, or the query itself."""
    return one.queries if isinstance(one, QuerySet) else (one,)


def unit(rows: Array) -> Array:
    """Rows (..., dim) of unit length; those of zeros stay so."""
    scaled: Array = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), _EPSILON)
    return scaled
