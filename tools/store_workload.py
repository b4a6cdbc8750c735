"""Signatures to measure a store with: real ones of SmolLM2 over Python's own documentation, and synthetic ones."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rise_store.corpus import fetch_smollm2, python_reference
from rise_store.records import EstimatorConfig
from rise_store.signature import SignatureEncoder

Array = npt.NDArray[Any]

SMALL = EstimatorConfig(kr=16, kh=8, kg=28)
FEWEST_WORDS = 14  # of a docstring that counts as a text
TOPICS = 400
PAIRS = 12  # outer products in a synthetic signature
BLOCK_ROWS = 1_000


def real_texts() -> list[str]:
    """Passages of the Python language reference and docstrings of the standard library, all different."""
    texts = dict.fromkeys(example.content for example in python_reference())
    texts |= dict.fromkeys(_docstrings(Path(sysconfig.get_path("stdlib"))))
    return list(texts)


def _docstrings(library: Path) -> Iterator[str]:
    for path in sorted(library.rglob("*.py")):
        if {"site-packages", "test", "tests", "idle_test"} & set(path.parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text and len(text.split()) >= FEWEST_WORDS:
                    yield text


def real_signatures(cache: Path, config: EstimatorConfig, texts: list[str], dtype: str) -> Array:
    """Float16 signatures [n, dim] of the texts with SmolLM2-135M; kept in `cache`, since they take minutes."""
    key = hashlib.sha256(repr([config.model_dump(), texts, dtype]).encode()).hexdigest()[:16]
    path = cache / f"real-{config.dim}-{key}.npy"
    if not path.exists():
        encoder = SignatureEncoder.from_pretrained(fetch_smollm2(), config, dtype=dtype, device="cpu")
        done = []
        for start in range(0, len(texts), 256):
            done.append(encoder.encode(texts[start : start + 256]).signatures.astype(np.float16))
            print(f"\rencoded {start + len(done[-1]):,} of {len(texts):,} texts", end="", file=sys.stderr)
        print(file=sys.stderr)
        np.save(path, np.concatenate(done))
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def synthetic_signatures(path: Path, rows: int, seed: int, small: Path | None = None) -> None:
    """Write float16 signatures [rows, 24,576]: sums of outer products of 400 topics, with near-duplicates.

    With `small`, also the same rows sketched once more to the small widths, which is a CountSketch of the same data.
    """
    config = EstimatorConfig()
    out = np.lib.format.open_memmap(path, "w+", np.float16, (rows, config.dim))
    out_small = np.lib.format.open_memmap(small, "w+", np.float16, (rows, SMALL.dim)) if small else None
    topics = np.random.default_rng(0)  # the same for rows and queries
    r_topic = topics.standard_normal((TOPICS, PAIRS, config.kr)).astype(np.float32)
    h_topic = topics.standard_normal((TOPICS, PAIRS, config.kh)).astype(np.float32)
    g_topic = topics.standard_normal((TOPICS, PAIRS, config.kg)).astype(np.float32)
    narrow = {name: _second_sketch(topics, getattr(config, name), getattr(SMALL, name)) for name in ("kr", "kh", "kg")}
    draw = np.random.default_rng(seed)
    for start in range(0, rows, BLOCK_ROWS):
        n = min(BLOCK_ROWS, rows - start)
        topic = draw.integers(0, TOPICS, n)
        topic[n // 2 :] = topic[: n - n // 2]
        noise = np.ones(n, np.float32)
        noise[n // 2 :] = 0.2  # the second half of a block has close neighbours in the whole
        r, h, g = (_noisy(draw, table[topic], noise) for table in (r_topic, h_topic, g_topic))
        out[start : start + n] = _signature(r, h, g, config)
        if out_small is not None:
            r, h, g = _unit(r @ narrow["kr"]), _unit(h @ narrow["kh"]), _unit(g @ narrow["kg"])
            out_small[start : start + n] = _signature(r, h, g, SMALL)
    out.flush()


def _second_sketch(draw: np.random.Generator, inputs: int, outputs: int) -> Array:
    matrix = np.zeros((inputs, outputs), np.float32)
    matrix[np.arange(inputs), draw.integers(0, outputs, inputs)] = draw.choice([-1, 1], inputs)
    return matrix


def _noisy(draw: np.random.Generator, x: Array, noise: Array) -> Array:
    return _unit(x + noise[:, None, None] * draw.standard_normal(x.shape).astype(np.float32))


def _unit(x: Array) -> Array:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-8)  # type: ignore[no-any-return]


def _signature(r: Array, h: Array, g: Array, config: EstimatorConfig) -> Array:
    rh = config.lambda_rh * np.matmul(r.transpose(0, 2, 1), h)  # (n, kr, kh)
    gh = config.lambda_gh * np.matmul(g.transpose(0, 2, 1), h)  # (n, kg, kh)
    return _unit(np.concatenate([rh.reshape(len(r), -1), gh.reshape(len(r), -1)], axis=1))
