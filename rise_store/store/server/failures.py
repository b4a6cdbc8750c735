"""What the client raises, as errors of ours: one line that says what, where, and what to do."""

from __future__ import annotations

import grpc
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from rise_store.errors import StoreError, StoreFullError, StoreUnreachableError

# What the client raises: over gRPC, and in its local mode, which answers with plain Python exceptions.
CLIENT_ERRORS = (grpc.RpcError, ResourceExhaustedResponse, ValueError, LookupError, RuntimeError)

# "No space left on device: WAL buffer size exceeds available disk space" is what Qdrant says before it is too late.
_FULL_MARKS = ("no space left on device", "available disk space", "storagefull", "disk quota exceeded")
_KEPT = "Everything that was acknowledged is kept"


def status_of(error: BaseException) -> grpc.StatusCode | None:
    """The gRPC status behind an error of the client; None where it has none."""
    if isinstance(error, ResourceExhaustedResponse):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    code = getattr(error, "code", None)
    found = code() if isinstance(error, grpc.RpcError) and callable(code) else None
    return found if isinstance(found, grpc.StatusCode) else None


def is_full(error: BaseException) -> bool:
    """Whether the server's disk is full, which passes only when someone frees space."""
    return any(mark in reason_of(error).lower() for mark in _FULL_MARKS)


def reason_of(error: BaseException) -> str:
    """What the server said, on one line of at most 400 characters."""
    details = getattr(error, "details", None)
    said = details() if isinstance(error, grpc.RpcError) and callable(details) else str(error)
    return " ".join(str(said or "").split())[:400] or type(error).__name__


def translated(error: BaseException, location: str, doing: str, *, deadline_s: float, secret: str | None) -> StoreError:
    """The error to raise for `error`; the `secret` is struck out wherever the server repeats it."""
    reason = reason_of(error)
    if secret:
        reason = reason.replace(secret, "***")
    if is_full(error):
        return StoreFullError(
            f"the disk of the server at {location} is full: could not {doing} ({reason}). {_KEPT}. "
            "Free some space there and run the same command again: it resumes where it stopped"
        )
    match status_of(error):
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return StoreUnreachableError(
                f"the server at {location} cannot be reached: could not {doing} ({reason}). {_KEPT}. Check that it "
                "runs and that its gRPC port (6334, or ?grpc_port=) is open, then run the same command again"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return StoreUnreachableError(
                f"the server at {location} is too slow: could not {doing} within {deadline_s:g} s. {_KEPT}. "
                "Run the same command again, or allow more seconds a call with RISE_STORE_TIMEOUT"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return StoreUnreachableError(
                f"the server at {location} has too much to do: could not {doing} ({reason}). {_KEPT}. "
                "Run the same command again later"
            )
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return StoreError(
                f"the server at {location} refused access: could not {doing} ({reason}). "
                "Set RISE_STORE_API_KEY to a key that may read and write"
            )
    return StoreError(
        f"the server at {location} could not {doing}: {reason}. {_KEPT}. The log of the server may say more"
    )
