"""Which precision this machine computes fastest."""

from __future__ import annotations

import time

import torch

from rise_store.signature.loading import DTYPES, pick_device
from rise_store.signature.memory import bound_kernel_cache

_SIZE = 2048  # rows and columns of the matrices
_SECONDS = 0.1  # per precision


def product_rate(dtype: str, device: str = "auto", seconds: float = _SECONDS) -> float:
    """Floating-point operations a second of square matrix products in a precision, measured now."""
    bound_kernel_cache()
    target = pick_device(device)
    a = torch.randn(_SIZE, _SIZE, device=target).to(DTYPES[dtype])
    out = torch.empty_like(a)  # reused: fresh memory would be timed too

    def run() -> None:
        torch.mm(a, a, out=out)
        if target.type == "cuda":
            torch.cuda.synchronize()

    run()
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < seconds:
        before = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - before)
    return 2 * _SIZE**3 / best


def fastest_dtype(device: str = "auto") -> str:
    """bfloat16 where the machine computes it at least twice as fast as float32, else float32."""
    rate = product_rate("float32", device)
    return "bfloat16" if product_rate("bfloat16", device) > 2 * rate else "float32"
