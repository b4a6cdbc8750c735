"""What `AttributionStore` does between a question and its answer: presets, searches, sets of queries, stability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import Unpack

from rise_store.encoders import Encoders, LoadOptions, choose_space
from rise_store.errors import ConfigError
from rise_store.records import AttributionResult, Fusion, Preset, Query, QuerySet, Space, validated
from rise_store.retrieval import (
    ScoringOptions,
    Search,
    SearchOptions,
    SecondMoments,
    Where,
    attribute,
    query_signatures,
    resolve_scoring,
)
from rise_store.retrieval.attribute import attribute_with_ids
from rise_store.retrieval.fusion import check_fusion, make_set, reciprocal_ranks
from rise_store.retrieval.presets import delete_preset, find_preset, read_presets, save_preset
from rise_store.retrieval.resample import Resampler
from rise_store.retrieval.stability import Bootstrap, BootstrapProgress, with_stability
from rise_store.seed_agreement import seed_agreements
from rise_store.store import Backend, Collection

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


class AskOptions(SearchOptions, LoadOptions, total=False):
    """How stored examples are scored and looked for, and how the model is loaded."""

    preset: str | None  # name of saved settings; what the other options state wins


class Asking:
    """Presets, searches and sets of queries: the part of `AttributionStore` that all questions share."""

    _backend: Backend
    _encoders: Encoders
    _second_moments: SecondMoments

    def presets(self, *, notify: Callable[[str], None] = lambda line: None) -> list[Preset]:
        """The presets of the store, by name; `notify` is told of each that cannot be read, which is left out."""
        return read_presets(self._backend.catalogue(), notify)

    def save_preset(self, preset: Preset) -> Preset:
        """Keep settings under a name, in the place of those that had it; what was kept.

        Args:
            preset: its `space` is the fingerprint of a space of this store, or the beginning of one.

        Raises:
            StoreError: the store has no such space.
            ConfigError: settings that do not fit each other, or the space.
        """
        space = choose_space(self._backend, preset.space)
        preset = preset.model_copy(update={"space": space.fingerprint})
        return save_preset(self._backend.catalogue(), preset, space)

    def save_settings(
        self, name: str, *, note: str = "", space: str | None = None, **settings: Unpack[ScoringOptions]
    ) -> Preset:
        """Keep settings, written as those of a query are, under a name; what was kept.

        Args:
            name: letters, digits, dots, dashes and underscores.
            note: where the settings come from, for people.
            space: fingerprint of the space (its beginning is enough), when the store has several.
            settings: metric, weights, lambdas and precondition, see `ScoringOptions`.

        Raises:
            ConfigError: a name that cannot be one, or settings that do not fit each other, or the space.
        """
        chosen = choose_space(self._backend, space)
        scoring, alpha = resolve_scoring(chosen, settings)
        fields: dict[str, Any] = {"name": name, "space": chosen.fingerprint, "note": note, "precondition": alpha}
        fields |= {"metric": scoring.metric, "weights": scoring.weights, "lambdas": scoring.lambdas}
        return save_preset(self._backend.catalogue(), validated(Preset, "preset", fields), chosen)

    def delete_preset(self, name: str) -> Preset | None:
        """Forget a preset; what it was, or None where that cannot be read. `InputError` where there is none of it."""
        return delete_preset(self._backend.catalogue(), name)

    def attribute_set(
        self,
        queries: Sequence[Query],
        fusion: Fusion = "mean",
        *,
        id: str = "",
        k: int | None = None,
        offset: int = 0,
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        bootstrap: int | None = None,
        seed: int = 0,
        progress: BootstrapProgress | None = None,
        **options: Unpack[AskOptions],
    ) -> AttributionResult:
        """Answer many queries as one.

        Args:
            queries: what is asked; none with a filter or a k of its own.
            fusion: mean: one search with the mean of the signatures; rrf: examples by the sum of `1 / (60 + rank)` over
                the exact rankings of all queries, each down to rank 1,000, where `min_score` is one of such sums.
            id: a name of the set.
            k: how many examples to return; by default 10, or all where fewer are stored.
            offset: how many of the best to pass over first.
            where: as for `attribute_all`, which has the other arguments and the errors.
            model: where to load the model from, when it is not where the space says; or an encoder.
            space: fingerprint of the space (its beginning is enough), when the store has several; that of the preset,
                where one is named.
            bootstrap: how often to draw the positions of every query anew, under fusion mean.
            seed: of these draws.
            progress: is told how many draws were answered, and of all of them.
            options: see `AskOptions`.

        Raises:
            InputError: no queries, or one with a filter or a k of its own.
        """
        asked = make_set(queries, fusion, id)
        collection = self._collection(space, options.get("preset"))
        search, loading = self._search(collection, [asked], options, k=k, offset=offset, where=where)
        drawn = Bootstrap.plan(search, bootstrap, seed)
        if asked.fusion == "rrf":
            check_fusion(search)
            if drawn is not None:
                raise ConfigError("bootstrap goes with fusion mean, which is one search; leave it out under rrf")
        encoder = self._encoders.of_space(collection.space, model, loading)
        if asked.fusion == "rrf":
            return reciprocal_ranks(search, query_signatures(encoder, queries))
        return self._answers(search, encoder, drawn, progress)[0]

    def _collection(self, space: str | None, preset: str | None = None) -> Collection:
        """The space that is asked; see `space_to_ask`."""
        return self._backend.open_collection(space_to_ask(self._backend, space, preset).fingerprint)

    def _search(
        self,
        collection: Collection,
        queries: Sequence[Query | QuerySet],
        options: AskOptions,
        *,
        k: int | None = None,
        offset: int = 0,
        where: Where = (),
    ) -> tuple[Search, LoadOptions]:
        """A checked search with the settings of the preset that is named, if any, and how to load the model.

        Raises:
            InputError: the store has no such preset.
            StoreError: the preset cannot be read.
            RiseStoreError: see `Search.plan`.
        """
        searching, loading = split_options(options)
        name = options.get("preset")
        preset = None if name is None else find_preset(self._backend.catalogue(), name)
        search = Search.plan(
            collection,
            queries,
            k=k,
            offset=offset,
            where=where,
            preset=preset,
            second_moments=self._second_moments,
            **searching,
        )
        return search, loading

    def _answers(
        self,
        search: Search,
        encoder: SignatureEncoder,
        bootstrap: Bootstrap | None = None,
        progress: BootstrapProgress | None = None,
    ) -> list[AttributionResult]:
        """The answers of a search, with their stability where that is asked for."""
        signatures = query_signatures(encoder, [question.query for question in search.questions])
        if bootstrap is None:
            return attribute(search, signatures)
        answers = attribute_with_ids(search, signatures)
        found = [answer for answer, _ in answers]
        agreements = seed_agreements(self._backend, search, encoder, found, self._second_moments)
        total, done, results = bootstrap.resamples * len(answers), 0, []

        def tell(resamples: int) -> None:
            nonlocal done
            done += resamples
            if progress is not None:
                progress(done, total)

        for asked, (answer, ids), seeds in zip(search.questions, answers, agreements, strict=True):
            resampler = Resampler(encoder, asked.query)
            results.append(with_stability(search, asked, answer, ids, resampler, bootstrap, seeds, tell))
        return results


def space_to_ask(backend: Backend, space: str | None, preset: str | None) -> Space:
    """The space that is named, else that of the preset of a name, else the only one of the store.

    Raises:
        InputError: the store has no such preset.
        StoreError: see `choose_space`.
    """
    if space is None and preset is not None:
        space = find_preset(backend.catalogue(), preset).space
    return choose_space(backend, space)


def split_options(options: AskOptions) -> tuple[SearchOptions, LoadOptions]:
    """Options of the search, and all others but `preset`, which are of loading the model."""
    parts: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name, value in options.items():
        if name != "preset":
            parts[name not in SearchOptions.__optional_keys__][name] = value
    return cast(SearchOptions, parts[0]), cast(LoadOptions, parts[1])
