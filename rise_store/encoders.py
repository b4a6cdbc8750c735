"""Which space a command works in, and the encoder that fits it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rise_store.errors import ConfigError, SpaceMismatchError, StoreError
from rise_store.records import EstimatorConfig, Space
from rise_store.store import Backend, Collection

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


def choose_space(backend: Backend, wanted: str | None = None) -> Space:
    """The space that a fingerprint (or its beginning) names; without one, the only space of the store.

    Raises:
        StoreError: the store is empty, has no such space, or has several and none was named.
    """
    spaces = backend.spaces()
    if not spaces:
        raise StoreError(
            f"the store at {backend.location} is empty; ingest a corpus first: "
            "rise-store ingest FILE --store DIR --model MODEL --dataset NAME"
        )
    fitting = [space for space in spaces if space.fingerprint.startswith(wanted or "")]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{space.fingerprint} ({space.model.name})" for space in spaces)
    if wanted and not fitting:
        raise StoreError(f"the store has no space {wanted}; its spaces: {known}")
    raise StoreError(f"the store has several spaces, choose one with --space: {known}")


class Encoders:
    """Loads encoders for the spaces of a store and keeps them for later calls."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loaded: dict[tuple[str, str, str], SignatureEncoder] = {}

    def of_space(
        self, space: Space, model: str | Path | SignatureEncoder | None, device: str, dtype: str | None = None
    ) -> SignatureEncoder:
        """An encoder of this very space, with the space's settings and sketch tables.

        Args:
            space: a space of the store.
            model: where to load the model from, when it is not where the space says; or an encoder.
            device: auto, cpu, cuda, mps.
            dtype: when it is not the space's.

        Raises:
            SpaceMismatchError: the model is another one.
            ModelError: the model cannot be loaded.
        """
        from rise_store.signature import SignatureEncoder

        if isinstance(model, SignatureEncoder):
            model.require_space(space)
            return model
        reference = space.model
        key = (space.fingerprint, str(model or reference.name), dtype or reference.dtype)
        if key not in self._loaded:
            encoder = SignatureEncoder.from_pretrained(
                model or reference.name,
                space.estimator,
                dtype=dtype or reference.dtype,
                device=device,
                tables=self._backend.tables(space.fingerprint),
                revision=None if model else reference.revision,
                trust_remote_code=reference.trust_remote_code and not model,
            )
            encoder.require_space(space)
            self._loaded[key] = encoder
        return self._loaded[key]

    def for_ingest(
        self,
        model: str | Path | SignatureEncoder | None,
        config: EstimatorConfig | None,
        dtype: str | None,
        device: str,
        *,
        space: str | None = None,
        new_space: bool = False,
    ) -> tuple[SignatureEncoder, Collection]:
        """The encoder for an ingestion and the collection it goes to, which is created when it is the first.

        Raises:
            SpaceMismatchError: model or settings make another space than the store's, and `new_space` is False.
            ConfigError: no model is named, and the store has no space to take it from.
        """
        from rise_store.signature import SignatureEncoder

        spaces = self._backend.spaces()
        if spaces and not new_space:
            chosen = choose_space(self._backend, space)
            if config is not None and config != chosen.estimator:
                raise SpaceMismatchError(
                    f"the store's space has other settings: {_differences(chosen.estimator, config)}; leave them out "
                    "to use the store's, use another store, or add a second space with --new-space"
                )
            encoder = self.of_space(chosen, model, device, dtype)
            return encoder, self._backend.open_collection(chosen.fingerprint)
        if model is None:
            raise ConfigError("name a model with --model: a hub name, a local folder, or a GGUF file")
        if not isinstance(model, SignatureEncoder):
            model = SignatureEncoder.from_pretrained(model, config, dtype=dtype or "float32", device=device)
        known = [known for known in spaces if known.fingerprint == model.fingerprint]
        if known:
            return model, self._backend.open_collection(known[0].fingerprint)
        return model, self._backend.create_space(model.space(), model.tables.arrays())


def _differences(theirs: EstimatorConfig, ours: EstimatorConfig) -> str:
    names: Sequence[str] = list(EstimatorConfig.model_fields)
    return ", ".join(
        f"{name} {getattr(theirs, name)} there, {getattr(ours, name)} here"
        for name in names
        if getattr(theirs, name) != getattr(ours, name)
    )
