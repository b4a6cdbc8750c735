"""What `AttributionStore` says of the worth of examples: values, selections, self-influence and near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import Unpack

from rise_store.appraisal import Appraisal, TargetSet, check_candidates, read_targets
from rise_store.asking import space_to_ask
from rise_store.candidates import CandidateRows, Notify, RowProgress
from rise_store.corpus import SourceOptions
from rise_store.encoders import Encoders, LoadOptions
from rise_store.errors import ConfigError
from rise_store.ingestion import Corpus
from rise_store.oddness import DEFAULT_ODD, OddBy, Oddness
from rise_store.records import (
    CandidateValue,
    DuplicateCluster,
    EstimatorConfig,
    Selection,
    SelfInfluence,
    Strategy,
    ValueBy,
)
from rise_store.retrieval import SecondMoments, Where
from rise_store.retrieval.duplicates import DEFAULT_THRESHOLD, MOST_COMPARED, find_duplicates
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import Preconditioner
from rise_store.retrieval.presets import ScoringOptions, find_preset, resolve_scoring
from rise_store.retrieval.select import Chooser, Limits
from rise_store.store import Backend, Collection, Filter

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


class CandidateOptions(SourceOptions, LoadOptions, total=False):
    """How sources of candidates are read, and how the model is loaded."""


class ValueOptions(CandidateOptions, ScoringOptions, total=False):
    """How candidates are scored and read, and how the model is loaded."""

    preset: str | None  # name of saved settings; what the other options state wins


class Valuation:
    """Value, select, self-influence, duplicates: the part of `AttributionStore` that judges examples."""

    _backend: Backend
    _encoders: Encoders
    _second_moments: SecondMoments

    def value(
        self,
        candidates: Corpus | None = None,
        *,
        targets: TargetSet,
        by: ValueBy = "mean",
        where: Where = (),
        per_target: bool = False,
        texts: bool = False,
        depth: int | None = None,
        max_rejects: int | None = 0,
        rejects: str | Path | None = None,
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        progress: RowProgress | None = None,
        notify: Notify = lambda line: None,
        **options: Unpack[ValueOptions],
    ) -> Iterator[CandidateValue]:
        """How much candidates would help with a set of targets, without labels.

        What is off is raised at once; candidates are read, encoded and let go of as the iterator is asked for more.
        Nothing is stored. A candidate of equal content with a stored example takes its signature.

        Args:
            candidates: what is to be valued, as `ingest` takes it; None for stored examples.
            targets: queries, or a JSON Lines file of queries or examples.
            by: mean or largest score over targets, or reciprocal-rank fusion over targets (`rrf`), which comes at the
                end, best first, and only for the `depth` best candidates of each target.
            where: conditions on stored candidates, all of which must hold: see `attribute_all`.
            per_target: tell the score of each target too.
            texts: tell texts too.
            depth: of rrf, ranks of each target that count; 1,000 by default.
            max_rejects: rows that cannot be used, beyond which reading stops; None for no limit.
            rejects: file that takes these rows, one `Reject` record a line; made with the first of them.
            model: where to load the model from, when it is not where the space says; or an encoder.
            space: fingerprint of the space (its beginning is enough), when the store has several; that of the preset,
                where one is named.
            progress: is told of candidates done, and of candidates in all where that is known.
            notify: is told in a line what was left out.
            options: metric, weights, lambdas, precondition, preset as for `attribute_all`; format, map, template ... of
                sources that are named: see `SourceOptions`; dtype, device ...: see `LoadOptions`.

        Raises:
            InputError: no targets, a target of fewer than 2 tokens, a source that cannot be opened, or (while
                iterating) more rows that cannot be used than allowed.
            StoreError, SpaceMismatchError, ConfigError, FilterError: as of `attribute_all`.
        """
        appraisal, rows, filter_ = self._appraisal(
            candidates, targets, where, max_rejects, rejects, model, space, progress, options
        )
        values = appraisal.values(
            rows, filter_, by=by, depth=depth, per_target=per_target, texts=texts, progress=progress
        )
        return telling(values, rows, notify)

    def select(
        self,
        candidates: Corpus | None = None,
        *,
        targets: TargetSet,
        k: int | None = None,
        tokens: int | None = None,
        strategy: Strategy = "mean",
        quotas: Sequence[str] = (),
        max_per: Sequence[str] = (),
        diversity: float | None = None,
        pool: int | None = None,
        depth: int | None = None,
        where: Where = (),
        max_rejects: int | None = 0,
        rejects: str | Path | None = None,
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        progress: RowProgress | None = None,
        notify: Notify = lambda line: None,
        **options: Unpack[ValueOptions],
    ) -> Selection:
        """Choose candidates to train on; what is held does not grow with their number.

        Args:
            candidates: what to choose among, as `ingest` takes it; None for stored examples.
            targets: queries, or a JSON Lines file of queries or examples.
            k: how many to choose at most.
            tokens: how many tokens they may have together; beside k or instead of it.
            strategy: mean, max or rrf take the best by that value; mmr (maximal marginal relevance) and
                facility-location weigh the mean score against likeness.
            quotas: at most so many of a value: `license=MIT:100`, `dataset=web:30%`.
            max_per: at most so many of each value of a field: `source_uri=3`, `dataset=30%`.
            diversity: of mmr, from 0 (values alone) to 1 (differences alone); 0.5 by default.
            pool: of mmr and facility-location, how many times the selection is held to choose from; 4 by default.
            depth: of rrf, ranks of each target that count; by default 1,000, and k where that is more.
            where: conditions on stored candidates; see `value` for it and the other arguments, and the errors.
        """
        limits = Limits.plan(k, tokens, quotas, max_per)
        chooser = Chooser(strategy, limits, pool=pool, diversity=diversity, depth=depth)
        appraisal, rows, filter_ = self._appraisal(
            candidates, targets, where, max_rejects, rejects, model, space, progress, options
        )
        selection = appraisal.selection(rows, filter_, chooser, limits, progress=progress, notify=notify)
        tell_left_out(rows, notify)
        return selection

    def self_influence(
        self,
        candidates: Corpus | None = None,
        *,
        k: int | None = DEFAULT_ODD,
        by: OddBy = "adjusted",
        where: Where = (),
        texts: bool = False,
        max_rejects: int | None = 0,
        rejects: str | Path | None = None,
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        progress: RowProgress | None = None,
        notify: Notify = lambda line: None,
        **options: Unpack[CandidateOptions],
    ) -> list[SelfInfluence]:
        """Which examples the model finds wrong or odd: mislabelled, garbled, or unlike the rest of their dataset.

        Args:
            candidates: what to look at, as `ingest` takes it; None for stored examples, which need their full texts.
            k: how many to tell, the oddest first; None for all.
            by: `self-influence`, the squared length of the gradient of the mean loss at the LM head, which falls with
                the length of a row; `adjusted`, that times the tokens that count; `loss`; or `typicality`, the mean
                cosine with the rest of the dataset, least first: of stored examples only, and nearly free.
            where: conditions on stored examples; see `value` for it and the other arguments.

        Raises:
            ConfigError: k below 1, or typicality of rows that are not stored.
            RiseStoreError: as of `value`.
        """
        collection = self._space_of(space)
        filter_ = check_candidates(candidates, collection, where)
        oddness = Oddness(by, k, texts=texts, stored=candidates is None)
        reading, loading = split_candidate_options(options)
        encoder = self._encoder(collection, model, loading)
        if candidates is None:
            assert collection is not None
            return oddness.of_stored(encoder, collection, filter_, progress=progress, notify=notify)
        rows = CandidateRows(candidates, reading, encoder, max_rejects=max_rejects, rejects=rejects, progress=progress)
        found = oddness.of_rows(encoder, rows)
        tell_left_out(rows, notify)
        return found

    def duplicates(
        self,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        where: Where = (),
        texts: bool = False,
        most: int = MOST_COMPARED,
        space: str | None = None,
        progress: RowProgress | None = None,
    ) -> list[DuplicateCluster]:
        """Clusters of stored examples whose signatures are nearly the same, largest first; needs no model.

        Two examples whose cosine reaches the threshold are in one cluster, and so is what hangs together through
        others. Every pair is compared, exactly: the cost grows with the square of the number of examples.

        Args:
            threshold: cosine of signatures, above 0 and at most 1.
            where: conditions on the examples, all of which must hold: see `attribute_all`.
            texts: tell texts too.
            most: refuse to compare more examples than that.
            space: fingerprint of the space (its beginning is enough), when the store has several.
            progress: is told of examples compared, and of examples in all.

        Raises:
            ConfigError: a threshold out of range, or more than `most` examples.
            StoreError, FilterError: as of `value`.
        """
        collection = self._space_of(space)
        filter_ = check_candidates(None, collection, where)
        assert collection is not None
        return find_duplicates(collection, threshold, filter_, texts=texts, most=most, progress=progress)

    def _appraisal(
        self,
        candidates: Corpus | None,
        targets: TargetSet,
        where: Where,
        max_rejects: int | None,
        rejects: str | Path | None,
        model: str | Path | SignatureEncoder | None,
        space: str | None,
        progress: RowProgress | None,
        options: ValueOptions,
    ) -> tuple[Appraisal, CandidateRows | None, Filter | None]:
        queries = read_targets(targets)
        collection = self._space_of(space, options.get("preset"))
        filter_ = check_candidates(candidates, collection, where)
        scoring, preconditioner = self._scoring(collection, options)
        reading, loading = split_candidate_options(options)
        encoder = self._encoder(collection, model, loading)
        rows = None
        if candidates is not None:
            rows = CandidateRows(
                candidates, reading, encoder, max_rejects=max_rejects, rejects=rejects, progress=progress
            )
        return Appraisal.of(encoder, queries, scoring, collection, preconditioner, options.get("preset")), rows, filter_

    def _space_of(self, space: str | None, preset: str | None = None) -> Collection | None:
        """The space that candidates are judged in; None where there is no store."""
        return self._backend.open_collection(space_to_ask(self._backend, space, preset).fingerprint)

    def _scoring(self, collection: Collection | None, options: ValueOptions) -> tuple[Scoring, Preconditioner | None]:
        assert collection is not None
        name = options.get("preset")
        preset = None if name is None else find_preset(self._backend.catalogue(), name)
        scoring, alpha = resolve_scoring(collection.space, scoring_of(options), preset)
        return scoring, None if alpha is None else self._second_moments.preconditioner(collection, scoring, alpha)

    def _encoder(
        self, collection: Collection | None, model: str | Path | SignatureEncoder | None, loading: LoadOptions
    ) -> SignatureEncoder:
        assert collection is not None
        return self._encoders.of_space(collection.space, model, loading)


class ValuationWithoutStore(Valuation):
    """Value, select and self-influence of candidates that are read, in the space of a model: no store is needed."""

    def __init__(self, encoder: SignatureEncoder) -> None:
        self._own = encoder

    @classmethod
    def from_pretrained(
        cls, model: str | Path, config: EstimatorConfig | None = None, **loading: Unpack[LoadOptions]
    ) -> ValuationWithoutStore:
        """Load a model by hub name, local folder or GGUF file; with the published settings, unless told others."""
        from rise_store.signature import SignatureEncoder

        options: dict[str, Any] = {**loading, "dtype": loading.get("dtype") or "float32"}
        return cls(SignatureEncoder.from_pretrained(model, config, **options))

    def _space_of(self, space: str | None, preset: str | None = None) -> None:
        if space is not None:
            raise ConfigError("a space is one of a store; name the store, or leave the space out")

    def _scoring(self, collection: Collection | None, options: ValueOptions) -> tuple[Scoring, None]:
        if options.get("preset") is not None:
            raise ConfigError("presets are kept in a store; name it, or give the settings themselves")
        scoring, alpha = resolve_scoring(self._own.space(), scoring_of(options))
        if alpha is not None:
            raise ConfigError("preconditioning is estimated from stored examples; name a store, or leave it out")
        return scoring, None

    def _encoder(
        self, collection: Collection | None, model: str | Path | SignatureEncoder | None, loading: LoadOptions
    ) -> SignatureEncoder:
        return self._own


def telling(values: Iterator[CandidateValue], rows: CandidateRows | None, notify: Notify) -> Iterator[CandidateValue]:
    """The same values; says at their end which rows were left out."""
    yield from values
    tell_left_out(rows, notify)


def tell_left_out(rows: CandidateRows | None, notify: Notify) -> None:
    """Say which rows were left out, where any were."""
    line = None if rows is None else rows.left_out()
    if line is not None:
        notify(line)


def split_candidate_options(options: CandidateOptions) -> tuple[SourceOptions, LoadOptions]:
    """What is about reading, and what is about loading the model."""
    keys = SourceOptions.__optional_keys__, LoadOptions.__optional_keys__
    parts: list[dict[str, Any]] = [{key: value for key, value in options.items() if key in own} for own in keys]
    return cast(SourceOptions, parts[0]), cast(LoadOptions, parts[1])


def scoring_of(options: ValueOptions) -> ScoringOptions:
    """What is about scoring."""
    own = ScoringOptions.__optional_keys__
    return cast(ScoringOptions, {key: value for key, value in options.items() if key in own})
