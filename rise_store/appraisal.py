"""Targets ready to value candidates with: the model, the space, and the targets as they are searched with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rise_store.candidates import CandidateRows, Notify, RowProgress, whole_text
from rise_store.corpus import read_queries
from rise_store.corpus.plain_values import printable_value
from rise_store.errors import ConfigError, InputError, StoreError
from rise_store.records import CandidateValue, ChannelScores, Query, SelectedExample, Selection, ValueBy
from rise_store.retrieval import Where, check_fields, parse_where
from rise_store.retrieval.combine import query_signatures
from rise_store.retrieval.fusion import DEPTH
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import Preconditioner
from rise_store.retrieval.select import Chooser, Limits
from rise_store.retrieval.select.pool import PoolRow
from rise_store.retrieval.value import Candidate, RankFusion, Targets, ValuedBlock
from rise_store.store import Collection, Filter

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

ORIGIN = (
    "example_id", "dataset", "dataset_version", "license", "source_uri", "tokens", "metadata", "read_from",
)  # fmt: skip
TargetSet = str | Path | Sequence[Query]  # queries, or a JSON Lines file of queries or examples


@dataclass(frozen=True)
class Appraisal:
    """What candidates are held against."""

    encoder: SignatureEncoder
    collection: Collection | None  # of the encoder's space; None without a store
    scoring: Scoring
    folded: npt.NDArray[np.float32]  # (targets, dim), as they are searched with
    preconditioner: Preconditioner | None = None
    preset: str | None = None  # name of the one that settings were taken from

    @classmethod
    def of(
        cls,
        encoder: SignatureEncoder,
        targets: Sequence[Query],
        scoring: Scoring,
        collection: Collection | None = None,
        preconditioner: Preconditioner | None = None,
        preset: str | None = None,
    ) -> Appraisal:
        """Encode targets.

        Raises:
            InputError: a target of fewer than 2 tokens.
        """
        features = scoring.features(query_signatures(encoder, targets))
        if preconditioner is not None:
            features = preconditioner(features)
        return cls(encoder, collection, scoring, scoring.fold(features), preconditioner, preset)

    @property
    def space(self) -> str:
        """Fingerprint of the space."""
        return self.encoder.fingerprint

    def values(
        self,
        rows: CandidateRows | None,
        where: Filter | None,
        *,
        by: ValueBy,
        depth: int | None,
        per_target: bool,
        texts: bool,
        progress: RowProgress | None,
    ) -> Iterator[CandidateValue]:
        """The value of each candidate, in the order in which they come; under rrf of the best of some target.

        Raises:
            ConfigError: at once; an unknown `by`, or a depth that does not fit.
        """
        if depth is not None and by != "rrf":
            raise ConfigError(f"depth is a setting of rrf, not of {by}; leave it out")
        targets = Targets(self.folded, self.scoring, by, each=per_target)
        fusion = RankFusion(len(targets), DEPTH if depth is None else depth, keep_scores=per_target)
        fields = (*ORIGIN, "text") if texts else ORIGIN
        blocks = self._blocks(targets, rows, where, fields, progress)
        if by == "rrf":
            return _fused(blocks, fusion, texts=texts)
        return _values(blocks, per_target=per_target, texts=texts)

    def selection(
        self,
        rows: CandidateRows | None,
        where: Filter | None,
        chooser: Chooser,
        limits: Limits,
        *,
        progress: RowProgress | None,
        notify: Notify,
    ) -> Selection:
        """The candidates that a chooser chooses."""
        targets = Targets(self.folded, self.scoring, chooser.by)
        fields = tuple(dict.fromkeys((*ORIGIN, "text", "content_sha256", *limits.fields)))
        chosen = chooser(self._blocks(targets, rows, where, fields, progress), len(targets))
        for field in chosen.unseen:
            notify(f"warning: a limit names {field}, which no candidate has")
        if chosen.unranked and len(chosen.rows) < (limits.k or 0):
            notify(
                f"warning: only {len(chosen.rows):,} of {limits.k:,} rows were selected; {chosen.unranked:,} "
                f"candidates beyond the best {chooser.depth:,} of each target were ranked for no target; raise --depth"
            )
        examples = [_selected(rank, row) for rank, row in enumerate(chosen.rows, 1)]
        bare = sum("text" not in one.record for one in examples) if rows is None else 0
        if bare:
            notify(
                f"warning: the store keeps no full text of {bare:,} of the selected examples; join them with their "
                "source by rise.example_id, or ingest with --keep-text full"
            )
        return Selection(
            examples=tuple(examples),
            strategy=chooser.strategy,
            k=limits.k,
            tokens=limits.tokens,
            limits=limits.shares,
            diversity=chooser.diversity,
            candidates=chosen.candidates,
            pool=chosen.pool,
            targets=len(targets),
            space=self.space,
            metric=self.scoring.metric,
            weights=self.scoring.weights,
            lambdas=self.scoring.lambdas,
            precondition=None if self.preconditioner is None else self.preconditioner.alpha,
            preset=self.preset,
        )

    def _blocks(
        self,
        targets: Targets,
        rows: CandidateRows | None,
        where: Filter | None,
        fields: tuple[str, ...],
        progress: RowProgress | None,
    ) -> Iterator[ValuedBlock]:
        if rows is not None:
            yield from targets.blocks(rows.blocks(self.encoder, self.collection))
            return
        assert self.collection is not None
        total, done = self.collection.count(where), 0
        for block in targets.stored(self.collection, where, fields):
            yield block
            done += len(block.candidates)
            if progress is not None:
                progress(done, total)


def _values(blocks: Iterable[ValuedBlock], *, per_target: bool, texts: bool) -> Iterator[CandidateValue]:
    for block in blocks:
        for i, candidate in enumerate(block.candidates):
            value, rh = float(block.values[i]), float(block.rh[i])
            scores = tuple(map(float, block.scores[i])) if per_target and block.scores is not None else None
            channels = ChannelScores(rh=rh, gh=value - rh)
            yield CandidateValue(value=value, channels=channels, scores=scores, **origin(candidate, texts=texts))


def _fused(blocks: Iterable[ValuedBlock], fusion: RankFusion, *, texts: bool) -> Iterator[CandidateValue]:
    for block in blocks:
        fusion.add(block)
    for fused in fusion.ranked():
        scores = None if fused.scores is None else tuple(map(float, fused.scores))
        yield CandidateValue(value=fused.value, scores=scores, **origin(fused.candidate, texts=texts))


def read_targets(targets: TargetSet) -> list[Query]:
    """Targets as queries.

    Raises:
        InputError: none at all, or one with a filter or a k of its own, which have no meaning here.
    """
    queries = read_queries(targets) if isinstance(targets, str | Path) else list(targets)
    if not queries:
        raise InputError("there are no targets; give queries or examples of what the model is wanted to do")
    for number, query in enumerate(queries, 1):
        if query.where is not None or query.k is not None:
            raise InputError(
                f"target {query.id or number} has a filter or a k of its own; candidates are chosen by --where, "
                "for all targets alike"
            )
    return queries


def check_candidates(candidates: object | None, collection: Collection | None, where: Where) -> Filter | None:
    """The filter of stored candidates; None for candidates that are read.

    Raises:
        ConfigError: a filter for candidates that are read, or neither candidates nor a store.
        StoreError: stored candidates, but nothing is stored.
        FilterError: a filter that cannot be read, or names an unknown field.
    """
    filter_ = parse_where(where)
    if candidates is not None:
        if filter_ is not None:
            raise ConfigError("a filter chooses among stored examples, and candidates that are read have none; leave "
                              "one of the two out")  # fmt: skip
        return None
    if collection is None:
        raise ConfigError("name candidates to read, or a store whose examples are the candidates")
    if collection.count() == 0:
        raise StoreError("the store holds no examples; ingest a corpus first, or name candidates to read")
    if filter_ is not None:
        check_fields(filter_, collection)
    return filter_


def origin(candidate: Candidate, *, texts: bool) -> dict[str, Any]:
    """The fields of a `KnownExample` record."""
    return fields_of(candidate.fields, texts=texts)


def fields_of(payload: dict[str, Any], *, texts: bool) -> dict[str, Any]:
    """The fields of a `KnownExample` record, from those of a payload."""
    names: Iterable[str] = (*ORIGIN, "text") if texts else ORIGIN
    return {name: payload[name] for name in names if name in payload}


def _selected(rank: int, row: PoolRow) -> SelectedExample:
    candidate = row.candidate
    record = _stored_record(candidate.fields) if candidate.record is None else printable_value(dict(candidate.record))
    return SelectedExample(rank=rank, value=row.value, record=record, **origin(candidate, texts=False))


def _stored_record(fields: dict[str, Any]) -> dict[str, Any]:
    """A stored example as a row; without a text where the store has not all of it."""
    text = whole_text(fields)
    names = ("license", "source_uri", "metadata")
    record = {"id": fields["example_id"], **({} if text is None else {"text": text})}
    return record | {name: fields[name] for name in names if name in fields}
