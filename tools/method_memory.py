"""How much memory this process takes: now, and at most since it was last asked to forget. On Linux alone."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from rise_store.errors import ConfigError

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def require_linux() -> None:
    """`ConfigError` where memory cannot be measured."""
    if sys.platform != "linux":
        raise ConfigError(f"memory is measured on Linux alone, and this is {sys.platform}; run the benchmark there")


def resident_bytes() -> int:
    """Resident memory now; the most so far where /proc does not tell."""
    gc.collect()
    return _field("VmRSS") or _most_ever()


def forget_peak() -> bool:
    """Let `peak_bytes` start anew from now; False where the system cannot."""
    gc.collect()
    try:
        _FORGET.write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """The most resident memory since `forget_peak`, or since the process began."""
    return _field("VmHWM") or _most_ever()


def _field(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    lines = (line.split() for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return next((int(words[1]) * 1024 for words in lines), None)


def _most_ever() -> int:
    require_linux()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
