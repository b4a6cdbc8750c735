"""Which space a command works in, and the encoder that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

from rise_store.errors import ConfigError, SpaceMismatchError, StoreError
from rise_store.profiles import UNSTATED, StorageChoice
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


class LoadOptions(TypedDict, total=False):
    """How a model is loaded; every key may be left out."""

    dtype: str | None  # float32, bfloat16 or float16; by default the space's, else float32
    device: str  # auto, cpu, cuda, cuda:1, mps
    revision: str | None  # of the hub; by default the space's
    trust_remote_code: bool  # whether code from the model's repository may run; never remembered
    device_map: str | dict[str, Any] | None  # spread the model over devices, memory and disk
    max_memory: dict[Any, Any] | None  # device -> bytes, for device_map="auto"
    offload_folder: str | Path | None  # where weights that go to disk are kept
    model_backend: Literal["transformers", "vllm"]  # what runs the model
    tensor_parallel_size: int  # GPUs that vLLM splits each layer over


# What the keys of `LoadOptions` mean when they are left out, where that is a value.
LOAD_DEFAULTS = (("device", "auto"), ("model_backend", "transformers"), ("tensor_parallel_size", 1))


class Encoders:
    """Loads encoders for the spaces of a store and keeps them for later calls."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loaded: dict[str, SignatureEncoder] = {}

    def of_space(
        self, space: Space, model: str | Path | SignatureEncoder | None, loading: LoadOptions
    ) -> SignatureEncoder:
        """An encoder of this very space, with the space's settings and sketch tables.

        Args:
            space: a space of the store.
            model: where to load the model from, when it is not where the space says; or an encoder.
            loading: how to load it.

        Raises:
            SpaceMismatchError: the model is another one.
            ModelError: the model cannot be loaded.
        """
        from rise_store.signature import SignatureEncoder

        if isinstance(model, SignatureEncoder):
            model.require_space(space)
            return model
        reference = space.model
        options: dict[str, Any] = {**loading, "dtype": loading.get("dtype") or reference.dtype}
        if model is None and loading.get("revision") is None:
            options["revision"] = reference.revision
        key = _key(space.fingerprint, model or reference.name, options)
        if key not in self._loaded:
            encoder = SignatureEncoder.from_pretrained(
                model or reference.name, space.estimator, tables=self._backend.tables(space.fingerprint), **options
            )
            encoder.require_space(space)
            self._loaded[key] = encoder
        return self._loaded[key]

    def for_ingest(
        self,
        model: str | Path | SignatureEncoder | None,
        config: EstimatorConfig | None,
        loading: LoadOptions,
        *,
        space: str | None = None,
        new_space: bool = False,
        storage: StorageChoice = UNSTATED,
    ) -> tuple[SignatureEncoder, Collection]:
        """The encoder for an ingestion and the collection it goes to, which is created when it is the first.

        Raises:
            SpaceMismatchError: model or settings make another space than the store's, and `new_space` is False; or
                the space is not kept as `storage` says.
            ConfigError: no model is named, and the store has no space to take it from; settings that contradict.
        """
        from rise_store.signature import SignatureEncoder

        spaces = self._backend.spaces()
        if spaces and not new_space:
            chosen = choose_space(self._backend, space)
            storage.require(chosen, widths_given=config is not None)
            config = config and storage.estimator(config)
            if config is not None and config != chosen.estimator:
                raise SpaceMismatchError(
                    f"the store's space has other settings: {_differences(chosen.estimator, config)}; leave them out "
                    "to use the store's, use another store, or add a second space with --new-space"
                )
            own = model.reference.dtype if isinstance(model, SignatureEncoder) else loading.get("dtype")
            if own is not None:
                _require_dtype(chosen, own)
            encoder = self.of_space(chosen, model, loading)
            return encoder, self._backend.open_collection(chosen.fingerprint)
        if model is None:
            raise ConfigError("name a model with --model: a hub name, a local folder, or a GGUF file")
        widths_given = config is not None
        if isinstance(model, SignatureEncoder):
            storage.require_encoder(model.config)
        else:
            config = storage.estimator(config)
            options: dict[str, Any] = {**loading, "dtype": loading.get("dtype") or "float32"}
            name, model = model, SignatureEncoder.from_pretrained(model, config, **options)
            self._loaded[_key(model.fingerprint, name, options)] = model
        for known in spaces:
            if known.fingerprint == model.fingerprint:
                _require_dtype(known, model.reference.dtype)
                storage.require(known, widths_given=widths_given)
                return model, self._backend.open_collection(model.fingerprint)
        space_record = model.space().model_copy(update={"storage": storage.storage()})
        return model, self._backend.create_space(space_record, model.tables.arrays())


def _require_dtype(space: Space, dtype: str) -> None:
    if dtype != space.model.dtype:
        raise SpaceMismatchError(
            f"the store's signatures are computed in {space.model.dtype}, not {dtype}; leave --dtype out or use "
            "another store"
        )


def _key(fingerprint: str, model: str | Path, options: Mapping[str, Any]) -> str:
    """What tells two loads apart: a model's path as the space states it, and options that are not the default."""
    path = Path(model).expanduser()
    name = str(path.resolve()) if path.exists() else str(model)
    chosen = {key: value for key, value in options.items() if value and (key, value) not in LOAD_DEFAULTS}
    return repr([fingerprint, name, sorted(chosen.items())])


def _differences(theirs: EstimatorConfig, ours: EstimatorConfig) -> str:
    names: Sequence[str] = list(EstimatorConfig.model_fields)
    return ", ".join(
        f"{name} {getattr(theirs, name)} there, {getattr(ours, name)} here"
        for name in names
        if getattr(theirs, name) != getattr(ours, name)
    )
