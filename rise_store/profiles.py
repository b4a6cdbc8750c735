"""Storage profiles: how a new space keeps its signatures, and whether an existing one keeps them as asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rise_store.errors import ConfigError, SpaceMismatchError
from rise_store.records import EstimatorConfig, Space, Storage, validated

Profile = Literal["float16", "turbo8", "turbo4", "small"]
CoarseBits = Literal[4, 2, 1]
SMALL_WIDTHS = {"kr": 16, "kh": 8, "kg": 28}  # 352 coordinates


@dataclass(frozen=True, slots=True)
class StorageChoice:
    """What a user said of storage; None and False leave it to the store, or to the defaults of a new space.

    `small` are float16 vectors of narrow sketches; the other profiles leave the widths alone.
    """

    profile: Profile | None = None
    quantization: CoarseBits | None = None
    hnsw: bool = False

    def storage(self) -> Storage:
        """The storage of a new space; `ConfigError` for one that there is not."""
        vectors = "float16" if self.profile in (None, "small") else self.profile
        return validated(Storage, "storage", {"vectors": vectors, "quantization": self.quantization, "hnsw": self.hnsw})

    def estimator(self, config: EstimatorConfig | None) -> EstimatorConfig | None:
        """The settings for a new space: those given, with the widths of the profile where it has some.

        Raises:
            ConfigError: a width was given that is not the profile's.
        """
        if self.profile != "small":
            return config
        given = config if config is not None else EstimatorConfig()
        for name, width in SMALL_WIDTHS.items():
            found = getattr(given, name)
            if found != width and name in given.model_fields_set:
                raise ConfigError(
                    f"profile small has {name} {width}, not {found}. Leave out the setting or the profile"
                )
        return given.model_copy(update=SMALL_WIDTHS)

    def require_encoder(self, config: EstimatorConfig) -> None:
        """`ConfigError` unless an encoder of these settings makes signatures of the profile."""
        if self.profile == "small" and not _is_small(config):
            raise ConfigError(
                f"profile small takes an encoder with {SMALL_WIDTHS}, not one with kr {config.kr}, kh {config.kh}, "
                f"kg {config.kg}"
            )

    def require(self, space: Space, *, widths_given: bool) -> None:
        """`SpaceMismatchError` unless `space` keeps its signatures as chosen.

        A space of small sketches has profile float16 too, for those who state its widths (`widths_given`).
        """
        profiles = {space.storage.vectors} if widths_given else set[str]()
        if self.profile is not None and self.profile not in {profile_of(space), *profiles}:
            raise _mismatch(space, "--profile", f"profile {self.profile}")
        if self.quantization is not None and self.quantization != space.storage.quantization:
            raise _mismatch(space, "--quantization", f"a {self.quantization}-bit coarse copy")
        if self.hnsw and not space.storage.hnsw:
            raise _mismatch(space, "--hnsw", "a graph")


UNSTATED = StorageChoice()


def profile_of(space: Space) -> str:
    """The name of the profile that a space has."""
    return "small" if _is_small(space.estimator) and space.storage.vectors == "float16" else space.storage.vectors


def describe_storage(space: Space) -> str:
    """How a space keeps its signatures, in words."""
    storage = space.storage
    coarse = f", {storage.quantization}-bit coarse copy" if storage.quantization else ""
    graph = ", graph" if storage.hnsw else ""
    return f"{profile_of(space)}{coarse}{graph} ({storage.bytes_per_vector(space.dim):,} bytes a signature)"


def _is_small(config: EstimatorConfig) -> bool:
    return all(getattr(config, name) == width for name, width in SMALL_WIDTHS.items())


def _mismatch(space: Space, option: str, asked: str) -> SpaceMismatchError:
    return SpaceMismatchError(
        f"space {space.fingerprint} is kept as {describe_storage(space)}, without {asked}, and stays as it was made. "
        f"Leave {option} out, or use another store"
    )
