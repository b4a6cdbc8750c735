"""Snapshots of a store on a server, by the server's own snapshots of its collections, over REST.

A snapshot is a folder with one file a collection: `catalogue.snapshot` and `<fingerprint>.snapshot`. The name of the
store is no part of it, so that it can be restored under another one.

Qdrant takes snapshots of what one node holds. Where a store is spread over several, those of one node would lack
rows: both directions refuse that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from rise_store.errors import StoreError
from rise_store.records import SnapshotFile
from rise_store.store.server.backend import ServerBackend
from rise_store.store.server.catalogue import CATALOGUE, SpaceRecords
from rise_store.store.server.connection import Address, api_key, connect

SUFFIX = ".snapshot"
_FILE = re.compile(rf"[0-9A-Za-z][0-9A-Za-z_-]*{re.escape(SUFFIX)}")
_CHUNK_BYTES = 2**20
_PATIENCE = httpx.Timeout(30.0, read=3_600.0, write=3_600.0)  # a server answers once a collection is written

FileProgress = Callable[[int, int], None]  # bytes done, bytes in all; of all files that are known so far


def download(
    backend: ServerBackend, folder: Path, progress: FileProgress = lambda done, total: None
) -> list[SnapshotFile]:
    """Take snapshots of all collections of a store and fetch them into `folder`, which exists.

    Rows that come in meanwhile may or may not be in it; those acknowledged before are. Nothing is left on the server.
    `StoreError` when a collection is spread over several nodes, or a file arrives damaged.
    """
    address = backend.connection.address
    if address is None:
        raise StoreError(f"the store at {backend.location} has no REST address to take snapshots over")
    files: list[SnapshotFile] = []
    with _rest(address, backend.location) as client:
        # The catalogue first: every space that it lists then has its collection in the snapshot.
        files.append(_fetch(client, address, CATALOGUE, folder, 0, progress))
        for space in backend.spaces():
            done = sum(file.bytes for file in files)
            files.append(_fetch(client, address, space.fingerprint, folder, done, progress))
    return files


def upload(
    location: str,
    folder: Path,
    files: Sequence[SnapshotFile],
    progress: FileProgress = lambda done, total: None,
) -> None:
    """Make the store at the URL `location` from `files` of the snapshot in `folder`, and from nothing else in there.

    The catalogue is restored last, so that a store whose restoring was cut short does not exist, and restoring it again
    works. `StoreError` when the store exists, the server is one of several nodes, or a file is refused.
    """
    address = Address.parse(location)
    catalogue = f"{CATALOGUE}{SUFFIX}"
    if catalogue not in {file.path for file in files}:
        raise StoreError(f"{folder} is no snapshot of a server: it has no {catalogue}")
    for file in files:
        if not _FILE.fullmatch(file.path):
            raise StoreError(f"{folder} is no snapshot of a server: {file.path!r} is not the file of a collection")
    total = sum(file.bytes for file in files)
    done = 0
    _check_vacant(location, address)
    with _rest(address, location) as client:
        peers = _result(client.get("/cluster")).get("peers") or {}
        if len(peers) > 1:
            raise StoreError(
                f"the server at {location} is one of {len(peers)} nodes, which a snapshot cannot be spread over. "
                "Restore it to a single node, and copy it with rise-store migrate"
            )
        for file in sorted(files, key=lambda file: (file.path == catalogue, file.path)):
            with (folder / file.path).open("rb") as body:
                answer = client.post(
                    f"/collections/{address.name}.{file.path.removesuffix(SUFFIX)}/snapshots/upload",
                    params={"priority": "snapshot", "wait": "true", "checksum": file.sha256},
                    files={"snapshot": (file.path, body, "application/octet-stream")},
                )
            _result(answer)
            done += file.bytes
            progress(done, total)


def _check_vacant(location: str, address: Address) -> None:
    connection = connect(location)
    try:
        connection.server_version()
        taken = SpaceRecords(connection, address.name).exists()
    finally:
        connection.close()
    if taken:
        raise StoreError(
            f"there is a store {address.name!r} at {location} already. Name another one, like http://host:6333/NAME"
        )


def _fetch(
    client: httpx.Client, address: Address, what: str, folder: Path, done: int, progress: FileProgress
) -> SnapshotFile:
    collection = f"/collections/{address.name}.{what}"
    _check_whole(client, collection)
    taken = _result(client.post(f"{collection}/snapshots", params={"wait": "true"}))
    snapshot = f"{collection}/snapshots/{taken['name']}"
    path = folder / f"{what}{SUFFIX}"
    digest = hashlib.sha256()
    size = 0
    try:
        with client.stream("GET", snapshot) as answer, path.open("wb") as file:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                _result(answer)
            for chunk in answer.iter_bytes(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                progress(done + size, done + max(size, taken.get("size") or 0))
    finally:
        client.delete(snapshot)
    expected = taken.get("checksum")
    if expected and expected != digest.hexdigest():
        raise StoreError(
            f"the snapshot of {collection} at {address.rest_url} arrived damaged: SHA-256 {digest.hexdigest()}, "
            f"expected {expected}. Take it again"
        )
    return SnapshotFile(path=path.name, bytes=size, sha256=digest.hexdigest())


def _check_whole(client: httpx.Client, collection: str) -> None:
    cluster = _result(client.get(f"{collection}/cluster"))
    here = {shard["shard_id"] for shard in cluster.get("local_shards", []) if shard.get("state") == "Active"}
    everywhere = here | {shard["shard_id"] for shard in cluster.get("remote_shards", [])}
    if here != everywhere or len(here) < cluster.get("shard_count", 1):
        raise StoreError(
            f"{collection} at {client.base_url} is spread over several nodes, of which each one's snapshot lacks rows. "
            "Copy the store to a folder with rise-store migrate, and take a snapshot of that"
        )


@contextmanager
def _rest(address: Address, location: str) -> Iterator[httpx.Client]:
    key = api_key()
    headers = {"api-key": key} if key else {}
    # A transport of our own takes no proxy from the environment, which would be sent the key in the clear. Unlike
    # `trust_env=False` it heeds SSL_CERT_FILE.
    transport = httpx.HTTPTransport() if address.is_loopback else None
    try:
        with httpx.Client(base_url=address.rest_url, headers=headers, timeout=_PATIENCE, transport=transport) as client:
            yield client
    except httpx.HTTPError as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise StoreError(
            f"the REST interface of the server at {location} ({address.rest_url}) failed: {reason}. Check that it runs "
            "and that its port is open, then run the same command again"
        ) from None


def _result(answer: httpx.Response) -> Any:
    """The `result` of an answer; `StoreError` with what the server said otherwise."""
    try:
        body: Any = answer.json()
    except ValueError:
        body = None
    if answer.is_success and isinstance(body, dict):
        return body.get("result")
    status = body.get("status") if isinstance(body, dict) else None
    said = status.get("error") if isinstance(status, dict) else answer.text
    reason = " ".join(str(said).split())[:400] or answer.reason_phrase
    remedy = "Set RISE_STORE_API_KEY to a key that may do this" if answer.status_code in (401, 403) else _REMEDY
    call = f"{answer.request.method} {answer.request.url.copy_with(query=None)}"
    raise StoreError(f"the server refused {call}: {answer.status_code} {reason}. {remedy}")


_REMEDY = "The log of the server may say more"
