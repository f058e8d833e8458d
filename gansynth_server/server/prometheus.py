"""The server's figures for Prometheus, over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.server.http import HttpServer, Page
from gansynth_server.server.metrics import Metrics

_log = logging.getLogger(__name__)

PREFIX = "gansynth_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class PrometheusExporter:
    """Answers each request with a snapshot of all that is counted.

    Args:
        bind: address to listen on.
        port: 0 takes a free one.
        allows: whether a host may ask.

    Raises:
        UserError: the port cannot be opened, or prometheus-client is missing.
    """

    def __init__(
        self, bind: str, port: int, snapshot: Callable[[], Metrics], allows: Callable[[str], bool]
    ) -> None:
        text = _exposition(snapshot)

        def page(path: str) -> Page:
            if path.split("?")[0] in ("/", "/metrics"):
                return Page(HTTPStatus.OK, text(), CONTENT_TYPE)
            return Page(HTTPStatus.NOT_FOUND, b"see /metrics\n", CONTENT_TYPE)

        self._http = HttpServer(bind, port, "--metrics", page, _log, allows)
        self.remark = f"metrics: {self._http.url}/metrics"

    def stop(self) -> None:
        """Close the port."""
        self._http.stop()


def _exposition(snapshot: Callable[[], Metrics]) -> Callable[[], bytes]:
    """Return a function that writes a snapshot in Prometheus' text format."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from prometheus_client.registry import Collector
    except ImportError as error:
        raise UserError(
            "--metrics needs prometheus-client: pip install 'gansynth-server[metrics]'"
        ) from error

    class Snapshots(Collector):
        def collect(self) -> Iterator[Any]:
            for name, value in snapshot().values().items():
                family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                yield family(PREFIX + name, name.replace("_", " "), value=value)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshots())
    return lambda: generate_latest(registry)
