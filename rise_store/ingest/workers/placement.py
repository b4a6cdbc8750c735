"""Where the models of an ingestion work, as a user says it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rise_store.errors import ConfigError


@dataclass(frozen=True)
class Placement:
    """Worker processes of this machine, each with a model."""

    devices: tuple[str, ...]  # of each one's model
    threads: int | None  # of torch in each of them; None leaves it to torch

    @classmethod
    def choose(cls, workers: int | None, gpus: Sequence[int], loading: Mapping[str, Any]) -> Placement | None:
        """The placement that `workers` or `gpus` ask for; None where neither does, and the model stays in this process.

        Args:
            workers: how many processes; on the CPU, which they share, unless `loading` names a device.
            gpus: numbers of the GPUs, each of which gets a process.
            loading: how the model is loaded (`LoadOptions`).

        Raises:
            ConfigError: settings that contradict.
        """
        if workers is None and not gpus:
            return None
        for option, name in (("device_map", "--device-map"), ("tensor_parallel_size", "--tensor-parallel")):
            if loading.get(option) not in (None, 1):
                raise ConfigError(
                    f"{name} spreads one model over devices, and workers have one each; leave one of them out"
                )
        if loading.get("model_backend") == "vllm":
            raise ConfigError("vLLM starts processes of its own; leave out --workers and --gpus with it")
        device = loading.get("device") or "auto"
        if gpus:
            if workers is not None:
                raise ConfigError("--gpus starts one worker for each GPU; leave --workers out")
            if min(gpus) < 0 or len(set(gpus)) < len(gpus):
                raise ConfigError(
                    f"--gpus takes different numbers from 0 on, as in 0,1; not {','.join(map(str, gpus))}"
                )
            if device not in ("auto", "cuda"):
                raise ConfigError(f"--gpus says where the models go; leave --device {device} out")
            return cls(tuple(f"cuda:{number}" for number in gpus), None)
        assert workers is not None
        if workers < 1:
            raise ConfigError(f"--workers takes a number from 1 on, not {workers}")
        device = "cpu" if device == "auto" else device
        return cls((device,) * workers, max(1, _cores() // workers) if device == "cpu" else None)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
