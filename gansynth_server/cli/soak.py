"""``gansynth soak``: hours of load on a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gansynth_server.bench.plan import SoakPlan
from gansynth_server.options import DEFAULT_CHECKPOINT

WIDTH = 140


@dataclass(frozen=True)
class SoakCommand(SoakPlan):
    """Play a server of its own hard, for long, and count what went wrong.

    Exits with 1 if blocks were late on the server's side, samples were wrong, a
    switch went wrong, or the server did not end cleanly.
    """

    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name or a folder."""
    flags: tuple[str, ...] = ()
    """Further flags of the server, such as --flags=--realtime."""
    json: Path | None = None
    """File for all figures."""
    plot: Path | None = None
    """PNG of memory, voices and late blocks over time."""

    def run(self) -> None:
        from gansynth_server.bench import report, soak
        from gansynth_server.errors import UserError

        if self.plot is not None:
            from gansynth_server.spectral.plot import check_plots

            check_plots()
        numbers = (self.minutes, self.voices, self.messages, self.switch, self.block, self.ahead)
        if not all(number > 0 for number in numbers) or self.clients < 0:
            raise UserError("--minutes, --voices, --messages and --switch must be more than 0")
        console = report.console(WIDTH)

        def tell(row: dict[str, Any]) -> None:
            console.print(", ".join(f"{k} {report.cell(v)}" for k, v in row.items()))

        figures = soak.measure(self.flags, self.checkpoint, self, tell)
        summary = [
            {"what": k, "figure": report.cell(v)}
            for k, v in figures.items()
            if k not in ("rows", "log")
        ]
        report.table(console, f"Soak of {self.minutes:g} minutes", summary)
        report.save_json(self.json, figures)
        if self.plot is not None:
            soak.plot(self.plot, figures)
        wrong = [name for name in soak.MUST_BE_ZERO if figures[name]]
        if wrong:
            raise UserError(f"not as it should be: {', '.join(wrong)}")
