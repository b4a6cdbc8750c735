"""Following files that grow: a session of watching, and what it is made of."""

from rise_store.ingest.watch.loop import Pace
from rise_store.ingest.watch.session import WatchTellers, watch_sources

__all__ = ["Pace", "WatchTellers", "watch_sources"]
