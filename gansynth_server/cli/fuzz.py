"""``gansynth fuzz``: mutated traffic against a server that plays."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gansynth_server.bench.fuzz import Figures

WIDTH = 100
CACHE_MB = 16
"""Size (MB) of the cache: so small that it is full when memory is measured first."""
CLIENT_TIMEOUT_S = 5
"""Time after which the server forgets the many clients that the fuzzer was."""


@dataclass(frozen=True)
class FuzzCommand:
    """Send a server what no client should, while notes sound and a stream is pulled.

    Exit status 1 means that it ended, hung, or held the sound up for longer than
    ``--stall``.
    """

    datagrams: int = 100_000
    """Number of datagrams."""
    seed: int = 1
    """The same seed sends the same datagrams."""
    port: int | None = None
    """Port of a running server; a server of its own is started if not given."""
    stall: float = 250.0
    """Milliseconds that the audio clock may be held up."""

    def run(self) -> None:
        from gansynth_server.errors import UserError

        if self.datagrams < 1 or self.stall <= 0:
            raise UserError("--datagrams and --stall must be more than 0")
        figures = self._against(self.port) if self.port is not None else self._alone()
        stall = figures.after["longest_stall_ms"]
        self._show(figures)
        if stall > self.stall:
            raise UserError(f"the audio clock was held up for {stall:.0f} ms")

    def _alone(self) -> Figures:
        """Fuzz a server of its own, all of whose datagrams are looked at."""
        import tempfile

        from gansynth_server.bench.process import ServerProcess

        with tempfile.TemporaryDirectory() as root:
            flags = ["--seed", "1", "--rate-limit", "0", "--root", root]
            flags += ["--cache-mb", str(CACHE_MB), "--client-timeout", str(CLIENT_TIMEOUT_S)]
            server = ServerProcess(flags)
            try:
                return self._against(server.port)
            finally:
                server.stop()

    def _against(self, port: int) -> Figures:
        from rich.progress import Progress

        from gansynth_server.bench.fuzz import run

        with Progress(disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("datagrams", total=self.datagrams)
            return run(
                port, self.seed, self.datagrams, lambda n: progress.update(task, completed=n)
            )

    def _show(self, figures: Figures) -> None:
        import numpy as np

        from gansynth_server.bench import report

        console = report.console(WIDTH)
        status = 1000 * np.array(figures.status)
        before, after = figures.before, figures.after
        growth = 100 * (after["memory_mb"] / before["memory_mb"] - 1) if before["memory_mb"] else 0
        rows: list[dict[str, Any]] = [
            {"what": "datagrams sent", "figure": figures.sent},
            {"what": "a second", "figure": figures.sent / figures.seconds},
            {"what": "messages handled", "figure": int(after["handled_total"])},
            {"what": "answers asked for again", "figure": figures.lost},
            *(
                {"what": f"/status, {name} ms", "figure": float(value)}
                for name, value in (
                    ("p50", np.percentile(status, 50)),
                    ("p99", np.percentile(status, 99)),
                    ("max", status.max()),
                )
            ),
            {"what": "stream blocks", "figure": figures.blocks},
            {"what": "of these late", "figure": figures.late},
            {"what": "of these silent", "figure": figures.silent},
            {"what": "longest stall of an audio clock, ms", "figure": after["longest_stall_ms"]},
            {"what": "stalls over 10 ms", "figure": int(after["stalls_total"])},
            {"what": "memory before, MB", "figure": before["memory_mb"]},
            {"what": "memory after, MB", "figure": after["memory_mb"]},
            {"what": "memory, %", "figure": growth},
        ]
        report.table(console, f"seed {self.seed}", rows)
        replies = [{"reply": name, "count": n} for name, n in figures.replies.most_common(12)]
        report.table(console, "Replies", replies)
