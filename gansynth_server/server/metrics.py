"""The server's figures as one snapshot: for ``/metrics``, ``/status`` and Prometheus."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

_RESIDENT = re.compile(r"Rss(\w+):\s+(\d+) kB")


@dataclass(frozen=True)
class Metrics:
    """All that is counted. Fields that end in ``_total`` only grow."""

    clients: int
    streams: int
    """Open streams."""
    voices: int
    """Sounding voices."""
    waiting: int
    """Notes that are to be rendered, or to begin."""
    load: float
    """Mixing of the busiest bus (% of real time)."""
    load_peak: float
    follow_rate: float
    """Changes a second of notes that follow a latent."""
    scheduled: int
    """Messages that wait for their time."""
    memory_mb: float
    """Resident memory of all processes; 0 where the system does not tell."""
    engine_memory_mb: float
    """Resident memory of the engine, with what it has read of the cache."""
    render_memory_mb: float
    """Resident memory of the render process, with what it has written of the cache."""
    longest_stall_ms: float
    """Longest time that any audio clock was held up."""
    stalls_total: int
    """Times that an audio clock was held up for longer than the watchdog's limit."""
    underruns_total: int
    """Late blocks, of the output and of all streams."""
    blocks_total: int
    """Blocks of streams that were sent."""
    spoilt_total: int
    """Voices that were ended because their sound was not finite."""
    shed_total: int
    """Voices that were ended because there was no time to render them."""
    engine_starts_total: int
    """Times that the engine was started."""
    datagrams_total: int
    handled_total: int
    """Messages that were handled."""
    failed_total: int
    """Messages that were answered with /fail."""
    bad_total: int
    """Datagrams that were not OSC."""
    late_total: int
    """Messages that came after their time."""
    lost_total: int
    """Datagrams for which the inbox had no room."""
    limited_total: int
    """Datagrams beyond the rate limit."""
    refused_total: int
    """Datagrams of hosts that are not allowed, or did not log in."""
    withheld_total: int
    """Replies that were not sent to unproven addresses."""
    log_lines_spared_total: int
    """Lines of the log that were only counted."""

    def values(self) -> dict[str, float]:
        """Return all that is counted, by name."""
        return asdict(self)


def resident_mb(*processes: int | None) -> float:
    """Return the resident memory (MB) of processes, by id; 0 where the system does not tell.

    What they share counts once.
    """
    own, shared = 0, [0]
    for process in processes:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        kilobytes = {kind: int(size) for kind, size in _RESIDENT.findall(status)}
        own += kilobytes.get("Anon", 0) + kilobytes.get("File", 0)
        shared.append(kilobytes.get("Shmem", 0))
    return (own + max(shared)) / 1024
