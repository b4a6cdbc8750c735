"""How `AttributionStore` makes a checked search of what is asked, and the presets that searches take settings from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from typing_extensions import Unpack

from rise_store.encoders import LoadOptions, choose_space
from rise_store.records import Preset, Query
from rise_store.retrieval import Search, SearchOptions, SecondMoments, Where
from rise_store.retrieval.presets import delete_preset, find_preset, read_presets, save_preset
from rise_store.store import Backend, Collection


class AskOptions(SearchOptions, LoadOptions, total=False):
    """How stored examples are scored and looked for, and how the model is loaded."""

    preset: str | None  # name of saved settings; what the other options state wins


class Asking:
    """Searches and presets: the part of `AttributionStore` that everything which asks the store shares."""

    _backend: Backend
    _second_moments: SecondMoments

    def presets(self) -> list[Preset]:
        """The presets of the store, by name."""
        return read_presets(self._backend.catalogue())

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

    def delete_preset(self, name: str) -> Preset:
        """Forget a preset; what it was. `InputError` where there is none of the name."""
        return delete_preset(self._backend.catalogue(), name)

    def _search(
        self,
        collection: Collection,
        queries: Sequence[Query],
        options: AskOptions,
        *,
        k: int | None = None,
        offset: int = 0,
        where: Where = (),
    ) -> tuple[Search, LoadOptions]:
        """A checked search with the settings of the preset that is named, if any, and how to load the model.

        Raises:
            InputError: the store has no such preset.
            RiseStoreError: see `Search.plan`.
        """
        searching, loading = split_options(**options)
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


def split_options(**options: Unpack[AskOptions]) -> tuple[SearchOptions, LoadOptions]:
    """Options of the search, and options of loading the model."""
    keys = SearchOptions.__optional_keys__, LoadOptions.__optional_keys__
    parts: list[dict[str, Any]] = [{key: value for key, value in options.items() if key in own} for own in keys]
    return cast(SearchOptions, parts[0]), cast(LoadOptions, parts[1])
