"""Following files that grow: a session of watching, and what it is made of."""

from rise_store.ingest.watch.loop import Pace
from rise_store.ingest.watch.session import WatchTellers, watch_sources
from rise_store.ingest.watch.stopping import Stop

__all__ = ["Pace", "Stop", "WatchTellers", "watch_sources"]
