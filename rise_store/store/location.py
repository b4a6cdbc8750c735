"""What the location of a store names: a folder or a server."""

from __future__ import annotations

import re
from pathlib import Path

from rise_store.errors import ConfigError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9.-]+:\d{2,5}(/[\w-]*)?")


def is_server(location: str) -> bool:
    """Whether `location` is the URL of a server, not a folder.

    `ConfigError` for a URL of another scheme, and for `host:6333` without one unless there is such a folder.
    """
    match = _SCHEME.match(location)
    if match is None:
        if _HOST_AND_PORT.fullmatch(location) and not Path(location).exists():
            raise ConfigError(
                f"{location} could be a server or a folder. Write http://{location} for a server, or ./{location} for "
                "a folder"
            )
        return False
    if match[1].lower() not in ("http", "https"):
        raise ConfigError(
            f"stores are not opened over {match[1]}://. Name a folder, or a server like https://host:6333"
        )
    return True
