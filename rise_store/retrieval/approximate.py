"""Which approximate search a space's storage offers."""

from __future__ import annotations

from rise_store.errors import ConfigError
from rise_store.records import ApproximateSearch, Storage, validated
from rise_store.store import Approximation

OVERSAMPLINGS = (1.0, 2.0, 4.0, 8.0)  # that a recall audit tries with a coarse copy
WIDTHS = (64, 128, 256)  # that it tries with a graph
HOW_TO = "ingest into a new store with --quantization or --hnsw to have one"


def choose_approximation(
    storage: Storage, oversampling: float | None = None, ef: int | None = None
) -> ApproximateSearch:
    """The approximate search to use: a scan of the coarse copy, or the graph where there is one.

    A graph is walked with the coarse copy where a space has both, since no engine scans the copy then.

    Args:
        storage: of the space.
        oversampling: times k rows are rescored with the stored signatures; 4 by default.
        ef: width of the walk through the graph; the engine's by default.

    Raises:
        ConfigError: the space was stored without what is asked for.
    """
    if storage.quantization is None and not storage.hnsw:
        raise ConfigError(f"this space has no approximate search; {HOW_TO}, or leave --approximate out")
    if ef is not None and not storage.hnsw:
        raise ConfigError(f"ef is {ef}, but this space has no graph to walk through; leave --ef out")
    if oversampling is not None and storage.quantization is None:
        raise ConfigError(
            f"oversampling is {oversampling:g}, but this space has no coarse copy to rescore from; "
            "leave --oversampling out"
        )
    fields = {"method": "hnsw" if storage.hnsw else "quantized", "oversampling": oversampling, "ef": ef}
    given = {name: value for name, value in fields.items() if value is not None}
    return validated(ApproximateSearch, "approximate search:", given)


def approximations(storage: Storage) -> list[ApproximateSearch]:
    """Every approximate setting of a space that is worth a measurement."""
    if storage.hnsw:
        return [ApproximateSearch(method="hnsw", ef=width) for width in WIDTHS]
    if storage.quantization is not None:
        return [ApproximateSearch(method="quantized", oversampling=factor) for factor in OVERSAMPLINGS]
    return []


def to_store(approximate: ApproximateSearch | None) -> Approximation | None:
    """The same in the words of the store."""
    if approximate is None:
        return None
    return Approximation(approximate.method, approximate.oversampling, approximate.ef)
