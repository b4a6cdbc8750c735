"""Prometheus metrics of a watch, over HTTP."""

from __future__ import annotations

from typing import Any

from rise_store.errors import ConfigError, InputError
from rise_store.ingest.watch.health import Health
from rise_store.ingest.watch.storing import Stored

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0)
_OUTCOMES = ("new", "replaced", "updated", "unchanged", "refused", "too_short", "rejected")


class Metrics:
    """Serves metrics while it is open; a context manager."""

    def __init__(self, health: Health, host: str, port: int) -> None:
        """Listen on an address; port 0 takes any that is free.

        Raises:
            InputError: the package prometheus-client is not installed.
            ConfigError: the address cannot be listened on.
        """
        try:
            import prometheus_client as prometheus
        except ImportError:
            raise InputError(
                "metrics need the package prometheus-client: pip install 'rise-store[watch]', or leave out "
                "--metrics-port"
            ) from None
        self._registry = registry = prometheus.CollectorRegistry()
        self._examples = prometheus.Counter(
            "rise_store_watch_examples", "Rows by what became of them", ["outcome"], registry=registry
        )
        for outcome in _OUTCOMES:
            self._examples.labels(outcome)
        self._tokens = prometheus.Counter("rise_store_watch_tokens", "Tokens encoded", registry=registry)
        self._rejects = prometheus.Counter(
            "rise_store_watch_rejects", "Rows that were not stored: rejected, too short or refused", registry=registry
        )
        self._blocks = prometheus.Counter("rise_store_watch_blocks", "Blocks stored", registry=registry)
        self._lag = prometheus.Histogram(
            "rise_store_watch_row_lag_seconds",
            "From the arrival of a row to its being searchable",
            buckets=_SECONDS,
            registry=registry,
        )
        self._store = prometheus.Histogram(
            "rise_store_watch_store_seconds",
            "Time that the store took for a block",
            buckets=_SECONDS,
            registry=registry,
        )
        self._gauge("lag_seconds", "Age of the oldest row that is not stored", health.lag)
        self._gauge("queue_rows", "Rows read that wait for their block", lambda: health.status().queue_rows)
        self._gauge("queue_bytes", "Bytes that arrived and are not stored", lambda: health.status().queue_bytes)
        self._gauge("queue_files", "Files with something to be read", lambda: health.status().queue_files)
        self._gauge("files", "Files watched", lambda: health.status().files_watched)
        self._gauge("errors", "Failures of the store and of files so far", lambda: health.status().errors)
        self._gauge("up", "1 while rows can be stored", lambda: float(health.status().state == "watching"))
        try:
            self._server, self._thread = prometheus.start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigError(
                f"metrics cannot be served on {host}:{port}: {error.strerror or error}; take another --metrics-port"
            ) from None
        self.port: int = self._server.server_port

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def stored(self, done: Stored, lags: list[float]) -> None:
        """Count a block."""
        counts = done.receipt.counts
        for outcome in _OUTCOMES:
            self._examples.labels(outcome).inc(getattr(counts, outcome))
        self._tokens.inc(counts.tokens)
        self._rejects.inc(counts.rejected + counts.too_short + counts.refused)
        self._blocks.inc()
        self._store.observe(done.store_seconds)
        for lag in lags:
            self._lag.observe(max(0.0, lag))

    def _gauge(self, name: str, what: str, value: Any) -> None:
        import prometheus_client as prometheus

        gauge = prometheus.Gauge(f"rise_store_watch_{name}", what, registry=self._registry)
        gauge.set_function(value)
