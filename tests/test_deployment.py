"""`compose.yaml` and the numbers in docs/deployment.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from rise_store.records import Storage
from tests.conftest import ROOT

CLUSTER = {"node-1", "node-2", "node-3"}


@pytest.fixture(scope="module")
def compose() -> Any:
    path = ROOT / "compose.yaml"
    if not path.exists():
        pytest.skip("compose.yaml is not part of this copy")
    return yaml.safe_load(path.read_text())


def test_one_node_is_the_default_and_three_are_a_profile(compose: Any) -> None:
    profiles = {name: service.get("profiles", []) for name, service in compose["services"].items()}
    assert profiles == {"qdrant": [], **{name: ["cluster"] for name in CLUSTER}}
    for name in CLUSTER:
        service = compose["services"][name]
        assert service["environment"]["QDRANT__CLUSTER__ENABLED"] == "true"
        assert service["environment"]["QDRANT__STORAGE__COLLECTION__REPLICATION_FACTOR"] == "2"
        assert f"http://{name}:6335" in service["command"]
    for name in CLUSTER - {"node-1"}:
        assert compose["services"][name]["command"][-2:] == ["--bootstrap", "http://node-1:6335"]
        assert compose["services"][name]["depends_on"] == {"node-1": {"condition": "service_healthy"}}


def test_every_node_is_guarded_pinned_watched_and_bounded(compose: Any) -> None:
    taken = []
    for service in compose["services"].values():
        release = re.fullmatch(r"qdrant/qdrant:v(\d+)\.(\d+)\.\d+", service["image"])
        assert release is not None
        assert (int(release[1]), int(release[2])) >= (1, 20)
        assert service["environment"]["QDRANT__SERVICE__API_KEY"].startswith("${QDRANT_API_KEY:?")
        assert "readyz" in service["healthcheck"]["test"][-1]
        assert service["deploy"]["resources"]["limits"].keys() == {"memory", "cpus"}
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:")
            taken.append(port.rpartition(":")[0])
        ports = [int(port.split(":")[1]) for port in service["ports"]]
        assert ports[1] == ports[0] + 1  # gRPC is where the client looks for it
        assert {volume.split(":")[0] for volume in service["volumes"]} <= compose["volumes"].keys()
        assert [volume.split(":")[1] for volume in service["volumes"]] == ["/qdrant/storage", "/qdrant/snapshots"]
    assert len(taken) == len(set(taken))


def test_docker_takes_it(compose: Any) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not on this machine")
    command = [docker, "compose", "--profile", "cluster", "config", "--quiet"]
    with_key = {**os.environ, "QDRANT_API_KEY": "key"}
    done = subprocess.run(command, cwd=ROOT, env=with_key, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    without = {name: value for name, value in os.environ.items() if name != "QDRANT_API_KEY"}
    refused = subprocess.run(command, cwd=ROOT, env=without, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "set QDRANT_API_KEY" in refused.stderr


def test_the_table_of_sizes_is_what_storage_computes() -> None:
    rows = re.findall(
        r"^\| ([\d,]+) \| (float16|turbo8|turbo4)(?: \+ (\d)-bit)? \| ([\d,]+) \| (.*) \|$",
        (ROOT / "docs" / "deployment.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == 12
    for dim, vectors, bits, stated, sizes in rows:
        storage = Storage(vectors=vectors, quantization=int(bits) if bits else None)  # type: ignore[arg-type]
        a_row = storage.bytes_per_vector(int(dim.replace(",", "")))
        assert a_row == int(stated.replace(",", ""))
        scales = {"MB": 1e6, "GB": 1e9, "TB": 1e12}
        found = [float(number.replace(",", "")) * scales[unit] for number, unit in map(str.split, sizes.split(" | "))]
        assert found == pytest.approx([a_row * rows for rows in (100_000, 1_000_000, 10_000_000)], rel=0.05)
