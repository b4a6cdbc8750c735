"""Makes index folders as the published RISE engine writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from rise_store.signature import SignatureEncoder


def write_index(
    folder: Path, encoder: SignatureEncoder, texts: Sequence[str], *, block: int = 5, **config: Any
) -> Path:
    """An index of texts: shards of `block` rows; `config` replaces settings of its `attrs.config`."""
    (folder / "shards").mkdir(parents=True)
    ours = encoder.config
    settings = {
        "fusion_mode": "rh+gh", "lambda_rh": ours.lambda_rh, "lambda_gh": ours.lambda_gh, "embedding_type": "output",
        "Kr": ours.kr, "Kh": ours.kh, "Kg": ours.kg, "adaptive_topL": True, "topL_cum_prob": ours.top_p,
        "max_topL_cap": ours.top_k, "min_topL": ours.min_top_k, "adaptive_temperature": False,
        "tau_fallback": ours.tau, "seq_len": ours.max_query_tokens, "chunk_long_sequences": True,
        "chunk_size": ours.chunk_size, "chunk_overlap": ours.chunk_overlap, "seed": ours.seed, **config,
    }  # fmt: skip
    tables = encoder.tables.arrays()
    arrays: dict[str, Any] = {}
    for theirs, name, width in (("h", "hidden", ours.kh), ("r", "residual", ours.kr), ("g", "error", ours.kg)):
        arrays[f"{theirs}_buckets"] = tables[f"{name}_bucket"].astype(np.int32)
        arrays[f"{theirs}_signs"] = tables[f"{name}_sign"].astype(np.int8)
        arrays[f"{theirs}_out_dim"] = np.array(width, dtype=np.int64)
    np.savez(folder / "projections.npz", **arrays)
    encoded = encoder.encode(list(texts))
    shards = []
    for start in range(0, len(texts), block):
        part = range(start, min(start + block, len(texts)))
        name = f"shards/vectors-{start // block:05d}.npy"
        np.save(folder / name, encoded.signatures[part.start : part.stop].astype(np.float16))
        meta = [
            {
                "idx": row,
                "length": len(texts[row]),
                "tok_len": int(encoded.token_counts[row]),
                "num_chunks": int(encoded.chunk_counts[row]),
                "label": ("positive", "negative")[row % 2],
                "text": texts[row][:200],
            }
            for row in part
        ]
        write_meta(folder, start // block, meta)
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        file = {"file": name, "meta": name.replace("vectors", "meta").replace("npy", "jsonl")}
        shards.append({**file, "start": start, "rows": len(part), "sha256": digest})
    plan = {
        "format": "rise.signature-index", "format_version": 1, "num_rows": len(texts), "dim": encoder.dim,
        "dtype": "float16", "block_size": block, "num_blocks": len(shards),
        "attrs": {"workload": "rise", "config": settings, "model": {"backend": "hf"}, "data": {"rows": len(texts)}},
    }  # fmt: skip
    (folder / "build_plan.json").write_bytes(orjson.dumps(plan))
    (folder / "manifest.json").write_bytes(orjson.dumps({**plan, "shards": shards, "build_totals": {}}))
    return folder


def write_meta(folder: Path, block: int, rows: Sequence[dict[str, Any]]) -> None:
    """The metadata of a shard."""
    path = folder / f"shards/meta-{block:05d}.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def edit_manifest(folder: Path, **fields: Any) -> None:
    """Replace fields of the manifest; None removes one."""
    path = folder / "manifest.json"
    manifest = {**orjson.loads(path.read_bytes()), **fields}
    path.write_bytes(orjson.dumps({name: value for name, value in manifest.items() if value is not None}))


def replace_row(folder: Path, block: int, row: int, vector: Any) -> None:
    """Put a vector into a shard, with its digest in the manifest."""
    path = folder / f"shards/vectors-{block:05d}.npy"
    vectors = np.load(path)
    vectors[row] = vector
    np.save(path, vectors)
    shards = orjson.loads((folder / "manifest.json").read_bytes())["shards"]
    shards[block]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(folder, shards=shards)
