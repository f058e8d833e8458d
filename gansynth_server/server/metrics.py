"""What the server counts, as one snapshot: for ``/metrics``, ``/status`` and Prometheus."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gansynth_server.errors import UserError

PREFIX = "gansynth_"
PATIENCE = 5.0
"""Seconds for a request to come in whole."""


@dataclass(frozen=True)
class Metrics:
    """All that is counted. What ends in ``_total`` only grows."""

    clients: int
    """Known now."""
    streams: int
    """Open now."""
    voices: int
    """Sounding."""
    waiting: int
    """Notes that are to be rendered or to begin."""
    load: float
    """Mixing, % of real time, of the busiest listener."""
    load_peak: float
    follow_rate: float
    """Changes a second of notes that follow a latent."""
    scheduled: int
    """Messages that wait for their time."""
    memory_mb: float
    """Resident, of both processes; 0 where the system does not tell."""
    longest_stall_ms: float
    """By which any audio clock was held up most, so far."""
    stalls_total: int
    """Times that an audio clock was held up for longer than the watchdog's limit."""
    underruns_total: int
    """Blocks that came too late, of the output and of all streams."""
    blocks_total: int
    """Of streams, sent."""
    spoilt_total: int
    """Voices that were ended because their sound was not finite."""
    shed_total: int
    """Voices that were ended because there was no time to render them."""
    datagrams_total: int
    handled_total: int
    """Messages."""
    failed_total: int
    """Messages that were answered with /fail."""
    bad_total: int
    """Datagrams that were no OSC."""
    late_total: int
    """Messages that came after their time."""
    lost_total: int
    """Datagrams for which there was no room."""
    limited_total: int
    """Datagrams beyond the rate limit."""
    refused_total: int
    """Datagrams of those who are not allowed, or did not log in."""
    withheld_total: int
    """Answers not sent because it is not known who would get them."""
    log_lines_spared_total: int
    """Lines of the log that were only counted."""

    def values(self) -> dict[str, float]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def resident_mb(*processes: int | None) -> float:
    """Resident memory of some processes in MB, by number; 0 where the system does not tell."""
    total = 0
    for process in processes:
        try:
            found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        except OSError:
            continue
        total += int(found[1]) if found else 0
    return total / 1024


class Exporter:
    """Answers Prometheus over HTTP, with a snapshot at each request.

    Args:
        bind: address to listen on.
        port: 0 takes a free one.
        allows: whether a host may ask.

    Raises:
        UserError: the port cannot be had, or prometheus-client is missing.
    """

    def __init__(
        self, bind: str, port: int, snapshot: Callable[[], Metrics], allows: Callable[[str], bool]
    ) -> None:
        page = _pages(snapshot)
        try:
            self._http = _Http(bind, port, page, allows)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(
                f"TCP port {port} on {bind} cannot be opened ({why}); choose another --metrics"
            ) from error
        self.port: int = self._http.server_address[1]
        host = f"[{bind}]" if ":" in bind else bind
        self.remark = f"metrics: http://{host}:{self.port}/metrics"
        self._thread = threading.Thread(
            target=self._http.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Closes the port."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=PATIENCE)


def _pages(snapshot: Callable[[], Metrics]) -> Callable[[], bytes]:
    """What makes a page in Prometheus' format."""
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


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, bind: str, port: int, page: Callable[[], bytes], allows: Callable[[str], bool]
    ) -> None:
        import socket

        self.address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.page, self._allows = page, allows
        self._room = threading.BoundedSemaphore(4)
        super().__init__((bind, port), _Request)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._allows(client_address[0])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # whoever asked has gone


class _Request(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Http

    def do_GET(self) -> None:
        found = self.path.split("?")[0] in ("/", "/metrics")
        body = self.server.page() if found else b"see /metrics\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
