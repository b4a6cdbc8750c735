"""Memory of the process: keep freed blocks instead of giving them back between layers."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1


@cache
def keep_freed_blocks() -> None:
    """Tell glibc to reuse freed blocks of up to 32 MiB; does nothing elsewhere.

    By default glibc returns large blocks to the system when they are freed and maps them anew for the next layer's
    activations, page fault by page fault: measured at 35,000 faults a batch of 1,024 tokens and a tenth of the time
    (SmolLM2-135M, bfloat16, 2 virtual cores). At most 512 MiB stay with the process.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 512 << 20)
