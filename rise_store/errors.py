"""One exception tree. Every message says what is wrong, where, and what to do about it.

The command line prints `error: <message>` and exits with the class's `exit_code`;
library users catch `RiseStoreError` or a subclass of it.
"""

from __future__ import annotations


class RiseStoreError(Exception):
    """Base of every error that rise_store raises on purpose."""

    exit_code = 2


class InputError(RiseStoreError):
    """A row, file or argument that cannot be used; names the file and line where there is one."""


class UnreadableError(InputError):
    """A file that cannot be opened or read for the moment: the same call may succeed later."""


class ConfigError(RiseStoreError):
    """A setting outside its range."""


class ModelError(RiseStoreError):
    """A model that cannot be loaded, is not causal, or whose readout fails its probe."""


class WorkerError(RiseStoreError):
    """Worker processes that end again and again; names the rows where one block is what ends them."""


class SpaceMismatchError(RiseStoreError):
    """Signatures of two spaces were about to be mixed: another model, setting or sketch."""


class SignatureError(RiseStoreError):
    """A signature that may not be stored: wrong dimension, or not finite."""

    chunk: int | None = None  # which of the encoded chunks it is, where that is known
    text: int | None = None  # which of the encoded texts it is, where that is known


class StoreError(RiseStoreError):
    """The store cannot be used: not a store, damaged, or a failure of the engine."""


class StoreInUseError(StoreError):
    """Another process holds the store."""


class StoreUnreachableError(StoreError):
    """The store does not answer for the moment: the same call may succeed later."""


class StoreFullError(StoreError):
    """The disk under the store is full; what was acknowledged is kept."""


class FilterError(RiseStoreError):
    """A filter that names an unknown field or cannot be parsed."""


class Interrupted(RiseStoreError):
    """Stopped by the user; the block in flight was stored first."""
