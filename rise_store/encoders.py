"""Which space a command works in, and the encoder that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy.typing as npt
from typing_extensions import TypedDict

from rise_store.errors import ConfigError, SpaceMismatchError, StoreError
from rise_store.profiles import UNSTATED, StorageChoice
from rise_store.records import EstimatorConfig, ModelReference, Space
from rise_store.store import Backend, Collection, tables_sha256

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


class KeptTables(Protocol):
    """Sketch tables as a store keeps them."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The tables by name."""
        ...


class SpaceEncoder(Protocol):
    """What decides which space an encoder's signatures belong to: a `SignatureEncoder`, or what stands for several."""

    @property
    def fingerprint(self) -> str:
        """Of the space."""
        ...

    @property
    def config(self) -> EstimatorConfig:
        """The estimator's settings."""
        ...

    @property
    def reference(self) -> ModelReference:
        """How the model was loaded."""
        ...

    @property
    def tables(self) -> KeptTables:
        """The sketch tables."""
        ...

    def space(self) -> Space:
        """The record of the space."""
        ...

    def require_space(self, space: Space) -> None:
        """Refuse a space that the signatures cannot be compared with: `SpaceMismatchError`."""
        ...


E = TypeVar("E", bound=SpaceEncoder)
AnyEncoder = TypeVar("AnyEncoder", bound=SpaceEncoder, covariant=True)


class Load(Protocol[AnyEncoder]):
    """Makes an encoder of a model, as `SignatureEncoder.from_pretrained` does."""

    def __call__(
        self,
        model: str | Path,
        config: EstimatorConfig | None,
        *,
        tables: Mapping[str, npt.NDArray[Any]] | None = None,
        **options: Any,
    ) -> AnyEncoder:
        """`tables` are those of a space that exists; drawn anew if None. `options` are `LoadOptions`."""
        ...


class Encoders:
    """Finds encoders for the spaces of a store, and keeps those that it loads into this process for later calls."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loaded: dict[str, SignatureEncoder] = {}

    def load(
        self,
        model: str | Path,
        config: EstimatorConfig | None,
        *,
        tables: Mapping[str, npt.NDArray[Any]] | None = None,
        **options: Any,
    ) -> SignatureEncoder:
        """Load a model into this process, unless it is here already."""
        from rise_store.signature import SignatureEncoder

        if tables is not None:
            known = self._loaded.get(_key(tables_sha256(tables), config, model, options))
            if known is not None:
                return known
        encoder = SignatureEncoder.from_pretrained(model, config, tables=tables, **options)
        self._loaded[_key(encoder.tables.sha256, encoder.config, model, options)] = encoder
        return encoder

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
        return self._of_space(space, model, loading, self.load)

    def _of_space(self, space: Space, model: str | Path | E | None, loading: LoadOptions, load: Load[E]) -> E:
        if model is None or isinstance(model, str | Path):
            reference = space.model
            options: dict[str, Any] = {**loading, "dtype": loading.get("dtype") or reference.dtype}
            if model is None and loading.get("revision") is None:
                options["revision"] = reference.revision
            tables = self._backend.tables(space.fingerprint)
            model = load(model or reference.name, space.estimator, tables=tables, **options)
        model.require_space(space)
        return model

    def for_ingest(
        self,
        model: str | Path | E | None,
        config: EstimatorConfig | None,
        loading: LoadOptions,
        load: Load[E],
        *,
        space: str | None = None,
        new_space: bool = False,
        storage: StorageChoice = UNSTATED,
    ) -> tuple[E, Collection]:
        """The encoder for an ingestion and the collection it goes to, which is created when it is the first.

        Args:
            model: hub name, local folder, GGUF file, or an encoder; None for the model of the store's space.
            config: estimator settings; None for those of the store's space, else the published ones.
            loading: how to load the model.
            load: what loads it: `Encoders.load`, or what starts the processes that do.
            space: fingerprint of the space, or its beginning.
            new_space: allow a second space.
            storage: how a new space keeps its signatures.

        Raises:
            SpaceMismatchError: model or settings make another space than the store's, and `new_space` is False; or
                the space is not kept as `storage` says.
            ConfigError: no model is named, and the store has no space to take it from; settings that contradict.
        """
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
            own = loading.get("dtype") if model is None or isinstance(model, str | Path) else model.reference.dtype
            if own is not None:
                _require_dtype(chosen, own)
            encoder = self._of_space(chosen, model, loading, load)
            return encoder, self._backend.open_collection(chosen.fingerprint)
        if model is None:
            raise ConfigError("name a model with --model: a hub name, a local folder, or a GGUF file")
        widths_given = config is not None
        if isinstance(model, str | Path):
            config = storage.estimator(config)
            options: dict[str, Any] = {**loading, "dtype": loading.get("dtype") or "float32"}
            model = load(model, config, **options)
        else:
            storage.require_encoder(model.config)
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


def _key(tables: str, config: EstimatorConfig | None, model: str | Path, options: Mapping[str, Any]) -> str:
    """What tells two loads apart: a model's path as the space states it, and options that are not the default."""
    path = Path(model).expanduser()
    name = str(path.resolve()) if path.exists() else str(model)
    chosen = {key: value for key, value in options.items() if value and (key, value) not in LOAD_DEFAULTS}
    return repr([tables, config or EstimatorConfig(), name, sorted(chosen.items())])


def _differences(theirs: EstimatorConfig, ours: EstimatorConfig) -> str:
    names: Sequence[str] = list(EstimatorConfig.model_fields)
    return ", ".join(
        f"{name} {getattr(theirs, name)} there, {getattr(ours, name)} here"
        for name in names
        if getattr(theirs, name) != getattr(ours, name)
    )
