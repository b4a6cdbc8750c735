"""One connection to a Qdrant server: its address, the key, TLS, deadlines, and every call made over it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import grpc
from qdrant_client import QdrantClient
from qdrant_client.qdrant_remote import QdrantRemote

from rise_store.errors import ConfigError, RiseStoreError, StoreError
from rise_store.store.server.failures import CLIENT_ERRORS, translated
from rise_store.store.server.retry import OPENING_TRIES, with_retries

DEFAULT_NAME = "rise_store"
OLDEST_SERVER = (1, 19)
DEADLINE_S = 60

_REST_PORT = 6333
# Dots separate a store's name from those of its spaces in the names of collections.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
_URL_HELP = "Write it like https://host:6333, https://host:6333/NAME or https://host:6333?grpc_port=6334"

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """Where a store on a server is."""

    scheme: str
    host: str
    rest_port: int
    grpc_port: int
    name: str  # of the store, which prefixes its collections

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address in `http(s)://host[:port][/NAME][?grpc_port=PORT]`; `ConfigError` for anything else."""
        if "@" in url:  # wherever it is: what stands before it may be a key, and the messages below repeat the URL
            raise ConfigError(
                "the URL of a store holds a user or a key before the @. Put the key into RISE_STORE_API_KEY instead"
            )
        told = repr(re.split("[?#]", url, maxsplit=1)[0])  # without options, which may be a key
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ConfigError(f"{told} is not the URL of a store. {_URL_HELP}") from None
        try:
            port = parts.port
        except ValueError:
            raise ConfigError(f"{told} has a port that is no number from 0 to 65535. {_URL_HELP}") from None
        options = parse_qs(parts.query, keep_blank_values=True)
        grpc_ports = options.pop("grpc_port", [])
        if not parts.hostname or parts.fragment or options or len(grpc_ports) > 1:
            raise ConfigError(f"{told} is not the URL of a store. {_URL_HELP}")
        rest_port = port or _REST_PORT
        grpc_port = grpc_ports[0] if grpc_ports else str(rest_port + 1)
        if not grpc_port.isascii() or not grpc_port.isdigit() or not 1 <= int(grpc_port) <= 65_535:
            raise ConfigError(f"{told} has a gRPC port that is no number from 1 to 65535. {_URL_HELP}")
        name = parts.path.strip("/") or DEFAULT_NAME
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{told} names a store {name!r}: a name has up to 100 letters, digits, - and _, and begins "
                f"with a letter or digit. {_URL_HELP}"
            )
        return cls(parts.scheme, parts.hostname, rest_port, int(grpc_port), name)

    @property
    def rest_url(self) -> str:
        """Where the REST interface is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.rest_port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the server is this machine, so that nothing crosses a network."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Connection:
    """A client of a server, with retries and our errors.

    Args:
        client: of a server over gRPC, or in local mode.
        location: how messages name the server; holds no secret.
        deadline_s: seconds that the client gives each call.
        secret: the API key, which is struck out of messages.
    """

    def __init__(
        self,
        client: QdrantClient,
        location: str,
        *,
        address: Address | None = None,
        deadline_s: float = DEADLINE_S,
        secret: str | None = None,
    ) -> None:
        self.location = location
        self.address = address
        self.over_grpc = isinstance(client._client, QdrantRemote)
        self._client = client
        self.deadline_s = deadline_s
        self._secret = secret
        self._closed = False

    def call(self, doing: str, action: Callable[[QdrantClient], T], tries: int | None = None) -> T:
        """The result of `action`, repeated while its failure may pass; `StoreError` that says what could not be done.

        `action` must bear being repeated after it succeeded.
        """
        if self._closed:
            raise StoreError(f"the store at {self.location} is closed. Open it again")
        try:
            return with_retries(lambda: action(self._client), tries)
        except RiseStoreError:
            raise
        except CLIENT_ERRORS as error:
            failure = translated(error, self.location, doing, deadline_s=self.deadline_s, secret=self._secret)
            # A server may repeat the key in what it says, and tracebacks would print that.
            raise failure from (None if isinstance(error, grpc.RpcError) else error)

    def server_version(self) -> tuple[int, int] | None:
        """Major and minor version of the server, None where it gives none; `StoreError` when it is too old."""
        said = self.call("ask the server for its version", lambda client: client.info().version, OPENING_TRIES)
        match = re.match(r"v?(\d+)\.(\d+)", said or "")
        if match is None:
            return None
        version = (int(match[1]), int(match[2]))
        if version < OLDEST_SERVER:
            wanted = ".".join(map(str, OLDEST_SERVER))
            raise StoreError(f"the server at {self.location} is Qdrant {said}, but {wanted} is needed. Upgrade it")
        return version

    def close(self) -> None:
        """Hang up; closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._client.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed


def connect(url: str) -> Connection:
    """A connection to the server at `url`; nothing is sent yet.

    The key comes from RISE_STORE_API_KEY, else QDRANT_API_KEY; certificates are verified for https.
    `ConfigError` for what is no URL of a store, and for a key that would cross a network in the clear.
    """
    address = Address.parse(url)
    key = api_key()
    allowed = os.environ.get("RISE_STORE_ALLOW_INSECURE") == "1"
    if key and address.scheme == "http" and not address.is_loopback and not allowed:
        raise ConfigError(
            f"the API key would cross the network in the clear to {address.rest_url}. Use https, or set "
            "RISE_STORE_ALLOW_INSECURE=1 where the network is trusted"
        )
    deadline_s = _deadline()
    client = QdrantClient(
        host=address.host,
        port=address.rest_port,
        grpc_port=address.grpc_port,
        https=address.scheme == "https",
        prefer_grpc=True,
        timeout=deadline_s,
        # As a header, because the client warns of every `api_key` over http, that of this machine included.
        headers={"api-key": key} if key else None,
        check_compatibility=False,  # asks over REST, and merely warns
        grpc_options={
            # By default a channel waits up to 2 minutes before it tries again to reach a server that was away.
            "grpc.initial_reconnect_backoff_ms": 200,
            "grpc.min_reconnect_backoff_ms": 200,
            "grpc.max_reconnect_backoff_ms": 2_000,
            "grpc.enable_http_proxy": 0 if address.is_loopback else 1,
        },
    )
    return Connection(client, url, address=address, deadline_s=deadline_s, secret=key)


def api_key() -> str | None:
    """The API key of the environment without space around it; None where there is none.

    `ConfigError` for one that no header can carry.
    """
    for variable in ("RISE_STORE_API_KEY", "QDRANT_API_KEY"):
        key = os.environ.get(variable, "").strip()
        if key and not (key.isascii() and key.isprintable()):
            raise ConfigError(f"{variable} holds characters that no key has. Set it to a key of printable ASCII")
        if key:
            return key
    return None


def _deadline() -> int:
    text = os.environ.get("RISE_STORE_TIMEOUT") or str(DEADLINE_S)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 86_400:
        raise ConfigError(f"RISE_STORE_TIMEOUT is {text!r}; give the seconds that a call may take, from 1 to 86400")
    return int(text)
