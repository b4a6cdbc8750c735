"""An index folder of the published RISE engine, as files: settings, sketch tables, shards.

Known from the engine's sources (format "rise.signature-index", versions 1 and 2):

manifest.json             the plan (format, num_rows, dim, dtype, attrs), `shards` (file, meta, start, rows, sha256)
                          and, where rows are SimHash codes, `codec`; `attrs` holds `config`, `model` and `data`
build_plan.json           the plan alone
projections.npz           h, r, g: `_buckets` int32, `_signs` int8, `_out_dim`
shards/vectors-XXXXX.npy  float16 [rows, dim], channel RH first, then GH
shards/meta-XXXXX.jsonl   one object a row: idx, length, tok_len, num_chunks, text (its beginning), chosen fields
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from rise_store.digests import file_sha256
from rise_store.errors import ConfigError, InputError
from rise_store.records import EstimatorConfig, Metadata, validated

FORMAT = "rise.signature-index"

# Our setting -> how the engine spells it; its defaults are ours.
_SETTINGS = {
    "kr": "Kr", "kh": "Kh", "kg": "Kg", "lambda_rh": "lambda_rh", "lambda_gh": "lambda_gh", "tau": "tau_fallback",
    "top_k": "max_topL_cap", "top_p": "topL_cum_prob", "min_top_k": "min_topL", "chunk_size": "chunk_size",
    "chunk_overlap": "chunk_overlap", "max_query_tokens": "seq_len", "seed": "seed",
}  # fmt: skip

# Settings of the engine that make another estimator than ours: the only value that we can reproduce.
_ONLY = {
    "fusion_mode": "rh+gh",
    "embedding_type": "output",
    "gt_slot": "replace",
    "l2_eps": "norm",
    "chunk_long_sequences": True,
}

# Their table -> ours, and the setting that is its width.
_TABLES = {"h": ("hidden", "kh"), "g": ("error", "kg"), "r": ("residual", "kr")}


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One row of an index; `vector` is as stored, float16 [dim]."""

    number: int  # in the whole index
    location: str  # shard and row in it
    vector: npt.NDArray[Any]
    meta: Metadata


@dataclass(frozen=True, slots=True)
class _Shard:
    file: str
    meta: str
    rows: int
    sha256: str | None = None


class PublishedIndex:
    """The index in `folder`; `InputError` when it is none, is incomplete or compressed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plan = _json(folder / "build_plan.json") if (folder / "build_plan.json").is_file() else {}
        if not (folder / "manifest.json").is_file():
            unfinished = "the build was not finished: run `rise finalize`" if plan else "it is no RISE index"
            raise InputError(f"{folder} has no manifest.json; {unfinished}")
        manifest = {**plan, **_json(folder / "manifest.json")}
        if manifest.get("format", FORMAT) != FORMAT:
            raise InputError(f"{folder} is no RISE index: its format is {manifest['format']!r}, expected {FORMAT!r}")
        if manifest.get("codec"):
            raise InputError(f"{folder} keeps only SimHash codes of its rows; import the index that it was made from")
        attrs = _object(manifest, "attrs", folder)
        self.settings: Mapping[str, Any] = _object(attrs if "config" in attrs else manifest, "config", folder)
        self.model: str | None = _model(attrs, folder)
        self.tables, self.widths = _tables(folder / "projections.npz")
        self._shards = _listed(manifest, folder) if manifest.get("shards") else _found(folder)
        self.rows = sum(shard.rows for shard in self._shards)
        stated = manifest.get("num_rows")
        if stated is not None and stated != self.rows:
            raise InputError(
                f"{folder} is incomplete: its manifest says {stated!r} rows, its shards have {self.rows}; build it anew"
            )

    def estimator(self, stated: Mapping[str, Any]) -> EstimatorConfig:
        """The index's settings; `stated` ones take precedence, what neither names is as published.

        Raises:
            ConfigError: the index was made by an estimator that this one cannot reproduce, or widths disagree.
        """
        for name, value in _ONLY.items():
            if self.settings.get(name, value) != value:
                raise ConfigError(
                    f"{self.folder} was made with {name} {self.settings[name]!r}, and queries of rise_store would not "
                    f"match it; only {name} {value!r} can be imported"
                )
        if self.settings.get("adaptive_temperature") and "tau" not in stated:
            raise ConfigError(
                f"{self.folder} was made with adaptive_temperature, a temperature for each chunk; where all were the "
                "same in fact, state it with --estimator tau=VALUE"
            )
        found = {name: self.settings[theirs] for name, theirs in _SETTINGS.items() if theirs in self.settings}
        if self.settings.get("adaptive_topL") is False:
            slots = self.settings.get("fallback_topL", 32)
            found |= {"top_k": slots, "min_top_k": slots, "top_p": 1.0}
        config = validated(EstimatorConfig, f"{self.folder} setting", {**self.widths, **found, **stated})
        for name, width in self.widths.items():
            if getattr(config, name) != width:
                raise ConfigError(
                    f"{self.folder}: {name} is {getattr(config, name)}, but the sketch in projections.npz has {width}"
                )
        return config

    def read(self, dim: int, size: int) -> Iterator[list[IndexRow]]:
        """The rows in order, at most `size` at a time.

        `InputError` for a shard that is missing, damaged or of another dimension than `dim`, or metadata that is not
        one object a row.
        """
        number = 0
        for shard in self._shards:
            path = self.folder / shard.file
            vectors = _vectors(path, dim, shard)
            with _opened(self.folder / shard.meta) as lines:
                for first in range(0, len(vectors), size):
                    page = []
                    for row in range(first, min(first + size, len(vectors))):
                        location = f"{path} row {row}"
                        meta = _meta(lines.readline(), f"{self.folder / shard.meta} line {row + 1}")
                        page.append(IndexRow(number, location, np.array(vectors[row]), meta))
                        number += 1
                    yield page


def _object(values: Mapping[str, Any], name: str, folder: Path) -> Mapping[str, Any]:
    """The object under a name of the manifest; an empty one where there is none."""
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{folder / 'manifest.json'} is damaged: {name} is {value!r}, not an object")
    return value


def _model(attrs: Mapping[str, Any], folder: Path) -> str | None:
    """The model that made the index, where it is named: `model` is its name, or an object with `name_or_path`."""
    model = attrs.get("model")
    name = model if isinstance(model, str) else _object(attrs, "model", folder).get("name_or_path")
    if name is not None and not isinstance(name, str):
        raise InputError(f"{folder / 'manifest.json'} is damaged: the name of its model is {name!r}, not a text")
    return name or None


def _vectors(path: Path, dim: int, shard: _Shard) -> npt.NDArray[Any]:
    try:
        if shard.sha256 is not None and file_sha256(path) != shard.sha256:
            raise InputError(f"the shard {path} is damaged: its SHA-256 is not the one in manifest.json")
        vectors: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"the shard {path} cannot be read: {error}") from error
    if vectors.ndim != 2 or vectors.shape[1] != dim or vectors.dtype.kind != "f":
        raise InputError(
            f"the shard {path} is {vectors.dtype} {list(vectors.shape)}, expected float16 [rows, {dim}], which is "
            "kh * (kr + kg)"
        )
    if len(vectors) != shard.rows:
        raise InputError(f"the shard {path} has {len(vectors)} rows, the manifest says {shard.rows}")
    return vectors


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _meta(line: bytes, location: str) -> Metadata:
    try:
        meta = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        problem = "it is missing" if not line else f"it is no JSON ({error})"
        raise InputError(f"{location} has to be the metadata of a row: {problem}") from error
    if not isinstance(meta, dict):
        raise InputError(f"{location} has to be the metadata of a row: it is no object")
    return meta


def _tables(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, int]]:
    """Our tables from theirs, and their widths by setting."""
    tables: dict[str, npt.NDArray[Any]] = {}
    widths: dict[str, int] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for theirs, (ours, width) in _TABLES.items():
                tables[f"{ours}_bucket"] = arrays[f"{theirs}_buckets"].astype(np.int32)
                tables[f"{ours}_sign"] = arrays[f"{theirs}_signs"].astype(np.int8)
                if tables[f"{ours}_bucket"].ndim != 1 or tables[f"{ours}_sign"].ndim != 1:
                    raise ValueError(f"{theirs}_buckets and {theirs}_signs have to have 1 dimension")
                widths[width] = int(arrays[f"{theirs}_out_dim"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"the sketch tables in {path} cannot be read: {error}") from error
    return tables, widths


def _listed(manifest: Mapping[str, Any], folder: Path) -> list[_Shard]:
    """The shards that the manifest lists."""
    try:
        shards = [
            _Shard(shard["file"], shard["meta"], int(shard["rows"]), shard.get("sha256"))
            for shard in manifest["shards"]
        ]
        for shard in shards:
            if not isinstance(shard.file, str) or not isinstance(shard.meta, str):
                raise TypeError("file and meta have to be texts")
        return shards
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(f"{folder / 'manifest.json'} lists shards without file, meta and rows: {error!r}") from error


def _found(folder: Path) -> list[_Shard]:
    """The shards that lie in the folder, for a manifest that lists none."""
    shards = []
    for path in sorted((folder / "shards").glob("vectors-*.npy")):
        meta = f"shards/{path.name.replace('vectors-', 'meta-').replace('.npy', '.jsonl')}"
        try:
            rows = len(np.load(path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"the shard {path} cannot be read: {error}") from error
        shards.append(_Shard(f"shards/{path.name}", meta, rows))
    return shards


def _json(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} cannot be read: it is no object")
    return value
