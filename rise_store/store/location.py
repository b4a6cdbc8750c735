"""What the location of a store names: a folder or a server."""

from __future__ import annotations

import re

from rise_store.errors import ConfigError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_server(location: str) -> bool:
    """Whether `location` is the URL of a server, not a folder; `ConfigError` for a URL of another scheme."""
    match = _SCHEME.match(location)
    if match is None:
        return False
    if match[1].lower() not in ("http", "https"):
        raise ConfigError(
            f"stores are not opened over {match[1]}://. Name a folder, or a server like https://host:6333"
        )
    return True
