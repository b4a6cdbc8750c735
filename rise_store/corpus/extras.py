"""Packages that only some readers need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rise_store.errors import InputError


def require_extra(package: str, extra: str, what: str) -> Any:
    """The package that an extra of ours installs.

    Raises:
        InputError: it is not installed; `what` needs it.
    """
    try:
        return import_module(package)
    except ImportError:
        raise InputError(f"{what}: needs the package {package}: pip install 'rise-store[{extra}]'") from None
