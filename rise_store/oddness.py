"""The oddest rows of a corpus: by self-influence, by loss, or by how unlike the rest of their dataset they are."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from rise_store.appraisal import ORIGIN, fields_of
from rise_store.candidates import CandidateRows, Notify, RowProgress, whole_text
from rise_store.errors import ConfigError, InputError, SignatureError
from rise_store.records import Example, Query, SelfInfluence
from rise_store.store import Collection, Filter, StoredPoint
from rise_store.store.batches import batches

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

OddBy = Literal["adjusted", "self-influence", "loss", "typicality"]
DEFAULT_ODD = 20  # rows that are told
BLOCK = 64  # rows that are computed together
FIELDS = (*ORIGIN, "text", "content_sha256")

Array = npt.NDArray[np.float32]


@dataclass
class Row:
    """A row that is looked at."""

    number: int  # of equals, the earlier one is told first
    fields: dict[str, Any]  # as the payload of a stored example names them
    asked: Query  # what is encoded, and of which the completion counts where it has one
    typicality: float | None = None


@dataclass
class _Oddest:
    """The k rows of largest score; all of them without k."""

    k: int | None
    _held: list[tuple[float, int, Any]] = field(default_factory=list)

    def add(self, score: float, number: int, row: Any) -> None:
        entry = (score, -number, row)
        if self.k is None or len(self._held) < self.k:
            heapq.heappush(self._held, entry)
        elif entry[:2] > self._held[0][:2]:
            heapq.heapreplace(self._held, entry)

    def rows(self) -> list[Any]:
        return [row for _, _, row in sorted(self._held, key=lambda entry: entry[:2], reverse=True)]


class Oddness:
    """Ranks rows by how odd they are."""

    def __init__(self, by: OddBy, k: int | None, *, texts: bool, stored: bool) -> None:
        """Check what is asked.

        Raises:
            ConfigError: an unknown `by`, k below 1, or typicality of rows that are not stored.
        """
        if by not in get_args(OddBy):
            raise ConfigError(f"unknown order {by!r}; choose one of {', '.join(get_args(OddBy))}")
        if k is not None and k < 1:
            raise ConfigError(f"k is {k}; tell at least 1 row")
        if by == "typicality" and not stored:
            raise ConfigError(
                "typicality compares stored signatures, and these rows are not stored; ingest them first, or rank by "
                "self-influence"
            )
        self._by = by
        self._texts = texts
        self._oddest = _Oddest(k)

    def of_rows(self, encoder: SignatureEncoder, rows: CandidateRows) -> list[SelfInfluence]:
        """Of rows that are read: of a prompt with its completion, or instruction with its output, the answer counts."""
        for group in batches(rows, BLOCK):
            asked = []
            for read in group:
                query = _asked(read.example)
                reason = _unfit(encoder, query)
                if reason is None:
                    asked.append(Row(read.number, read.fields(None), query))
                else:
                    rows.leave_out(read, reason, too_short="fewer than 2 tokens" in reason)
            self._take(measured(encoder, asked), asked)
            rows.tell()
        return [self._record(*found) for found in self._oddest.rows()]

    def of_stored(
        self,
        encoder: SignatureEncoder,
        collection: Collection,
        where: Filter | None,
        *,
        progress: RowProgress | None,
        notify: Notify,
    ) -> list[SelfInfluence]:
        """Of stored examples; those whose full text is not stored, or is too short, are left out and counted."""
        typical = Typicality.of(collection, where)
        total, seen, bare, unfit = collection.count(where), 0, 0, 0
        points = collection.scroll(where, with_vectors=True, fields=FIELDS)
        for group in batches(points, BLOCK):
            asked = []
            for point in group:
                seen += 1
                text = whole_text(point.payload)
                if text is None:
                    bare += 1
                    continue
                query = Query(text=text)
                if _unfit(encoder, query) is not None:
                    unfit += 1
                    continue
                asked.append(Row(seen, point.payload, query, typical(point)))
            if self._by == "typicality":  # no forward pass but for those that are told
                for row in asked:
                    self._oddest.add(-1.0 if row.typicality is None else -row.typicality, row.number, row)
            else:
                self._take(measured(encoder, asked), asked)
            if progress is not None:
                progress(seen, total)
        if bare:
            notify(
                f"left out: {bare:,} examples whose full text is not stored; ingest with --keep-text full, or name the "
                "files that they are from"
            )
        if unfit:
            notify(f"left out: {unfit:,} examples whose text is too short (under 2 tokens, once stripped)")
        found = self._oddest.rows()
        if self._by == "typicality":
            found = [
                pair for group in batches(found, BLOCK) for pair in zip(group, measured(encoder, group), strict=True)
            ]
        return [self._record(*pair) for pair in found]

    def _take(self, losses: list[Loss], rows: list[Row]) -> None:
        for row, loss in zip(rows, losses, strict=True):
            scores = {"adjusted": loss.adjusted, "self-influence": loss.self_influence, "loss": loss.loss}
            self._oddest.add(scores[self._by], row.number, (row, loss))

    def _record(self, row: Row, loss: Loss) -> SelfInfluence:
        return SelfInfluence(
            self_influence=loss.self_influence,
            adjusted=loss.adjusted,
            loss=loss.loss,
            positions=loss.positions,
            typicality=row.typicality,
            **{**fields_of(row.fields, texts=self._texts), "tokens": loss.tokens},
        )


@dataclass(frozen=True)
class Loss:
    """What the model makes of one row."""

    self_influence: float
    adjusted: float
    loss: float
    positions: int
    tokens: int


def measured(encoder: SignatureEncoder, rows: Iterable[Row]) -> list[Loss]:
    """Self-influence and loss of rows; of a text of several windows, the mean over them by positions.

    Raises:
        SignatureError: a gradient is not finite; names the row.
    """
    from rise_store.signature.windows import covered_tokens

    rows = list(rows)
    asked = encoder.query_chunks([row.asked for row in rows])
    owners = [number for number, query in enumerate(asked) for _ in query.chunks]
    try:
        gradients = encoder.loss_gradients(
            [chunk for query in asked for chunk in query.chunks],
            [start for query in asked for start in query.loss_start],
        )
    except SignatureError as error:
        if error.chunk is None:
            raise
        name = rows[owners[error.chunk]].fields["example_id"]
        raise SignatureError(f"example {name!r}: {error}") from error
    parts: dict[int, list[Any]] = defaultdict(list)
    for owner, gradient in zip(owners, gradients, strict=True):
        parts[owner].append(gradient)
    losses = []
    for number, query in enumerate(asked):
        positions = sum(part.positions for part in parts[number])
        losses.append(
            Loss(
                self_influence=sum(part.squared_length * part.positions for part in parts[number]) / positions,
                adjusted=sum(part.squared_length * part.positions**2 for part in parts[number]) / positions,
                loss=sum(part.loss * part.positions for part in parts[number]) / positions,
                positions=positions,
                tokens=covered_tokens(query.chunks, encoder.config),
            )
        )
    return losses


@dataclass(frozen=True)
class Typicality:
    """The sum of the unit signatures of each dataset, from which the mean cosine with the others follows."""

    sums: dict[str, npt.NDArray[np.float64]]
    counts: dict[str, int]

    @classmethod
    def of(cls, collection: Collection, where: Filter | None) -> Typicality:
        """Read the signatures of stored examples once."""
        sums: dict[str, npt.NDArray[np.float64]] = {}
        counts: dict[str, int] = defaultdict(int)
        for point in collection.scroll(where, with_vectors=True, fields=("dataset",)):
            name = str(point.payload["dataset"])
            if name not in sums:
                sums[name] = np.zeros(collection.space.dim)
            sums[name] += _unit(point)
            counts[name] += 1
        return cls(sums, counts)

    def __call__(self, point: StoredPoint) -> float | None:
        """Mean cosine of a row's signature with those of the others of its dataset; None where it has no others."""
        name = str(point.payload["dataset"])
        others = self.counts[name] - 1
        if others < 1:
            return None
        own = _unit(point)
        return float(own @ self.sums[name] - own @ own) / others


def _unit(point: StoredPoint) -> npt.NDArray[np.float64]:
    assert point.vector is not None
    vector = point.vector.astype(np.float64)
    unit: npt.NDArray[np.float64] = vector / max(float(np.linalg.norm(vector)), 1e-8)
    return unit


def _asked(example: Example) -> Query:
    """What is encoded: the answer after what it answers, where a row tells them apart, else its text."""
    if (example.text or "").strip():
        return Query(text=example.content)
    if example.prompt or example.completion:
        pair = example.prompt or "", example.completion
    else:
        given = [part for part in (example.instruction, example.input) if part]
        pair = "".join(f"{part}\n" for part in given), example.output
    return Query(prompt=pair[0], completion=pair[1]) if pair[1] else Query(text=example.content)


def _unfit(encoder: SignatureEncoder, query: Query) -> str | None:
    try:
        (asked,) = encoder.query_chunks([query])
    except InputError as error:
        return str(error).removeprefix("query 1: ")
    if asked.cut:
        most = encoder.config.max_query_tokens
        return f"the prompt takes all of the {most} tokens that are looked at, so that nothing of the answer counts"
    return None
