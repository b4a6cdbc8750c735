"""How a row that arrives compares with the stored example of its key."""

from __future__ import annotations

import re

from rise_store.records import RowOrigin
from rise_store.store import Payload


def is_same_row(stored: Payload, origin: RowOrigin | None) -> bool:
    """Whether a stored example was read where this row was; the folder may have another name on another machine."""
    there = stored.get("read_from")
    if origin is None or not there:
        return False
    here = origin.model_dump(exclude_none=True)
    return bool({**there, "file": file_name(there.get("file", ""))} == {**here, "file": file_name(origin.file)})


def file_name(path: str) -> str:
    """The last part of a path or address."""
    return re.split(r"[/\\]", path)[-1]


def has_news(stored: Payload, payload: Payload) -> bool:
    """Whether a row of equal content has other metadata or provenance than is stored, or its example had vanished."""
    if stored.get("record_sha256") != payload["record_sha256"] or "vanished_in" in stored:
        return True
    return bool(stored.get("dataset_version") != payload.get("dataset_version", stored.get("dataset_version")))


def relabelled(stored: Payload, payload: Payload) -> Payload:
    """The new payload of an example of equal content.

    Where the row is what was ingested, whatever else is stored was annotated and stays, but for a mark as vanished.
    """
    if stored.get("record_sha256") == payload["record_sha256"]:
        kept = {name: value for name, value in stored.items() if name != "vanished_in"}
        return kept | {name: payload[name] for name in ("dataset_version", "run_id", "ingested_at") if name in payload}
    return payload | {name: stored[name] for name in ("tokens", "chunks", "channel_norms")}
