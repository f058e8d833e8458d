"""``gansynth soak``: whether it lasts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gansynth_server.options import DEFAULT_CHECKPOINT

WIDTH = 140


@dataclass(frozen=True)
class SoakCommand:
    """Play a server of its own hard, for long, and count what went wrong.

    Exits with 1 if blocks were late on the server's side, samples were wrong, a
    switch went wrong, or the server did not end cleanly.
    """

    minutes: float = 60.0
    """How long."""
    voices: int = 32
    """Sounding all the time, as many as there may be."""
    clients: int = 4
    """That send random messages."""
    messages: float = 50.0
    """A second, of each client."""
    switch: float = 20.0
    """Seconds between two changes of the checkpoint."""
    block: int = 512
    """Frames of a block of the stream that is pulled."""
    ahead: int = 4
    """Blocks that are asked for in advance."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name or a folder."""
    seed: int = 1
    """Of the messages."""
    apart: bool = False
    """Half of these clients are heard on the server's output, which has as many voices again."""
    flags: tuple[str, ...] = ()
    """Further flags of the server, such as --flags=--realtime."""
    json: Path | None = None
    """File for all figures."""
    plot: Path | None = None
    """PNG of memory, voices and late blocks over time."""

    def run(self) -> None:
        import json

        from rich.console import Console

        from gansynth_server.bench import report, soak
        from gansynth_server.errors import UserError

        if self.plot is not None:
            from gansynth_server.spectral.plot import check_plots

            check_plots()
        numbers = (self.minutes, self.voices, self.messages, self.switch, self.block, self.ahead)
        if not all(number > 0 for number in numbers) or self.clients < 0:
            raise UserError("--minutes, --voices, --messages and --switch must be more than 0")
        console = Console(width=None if sys.stdout.isatty() else WIDTH)

        def tell(row: dict[str, Any]) -> None:
            console.print(", ".join(f"{k} {report.cell(v)}" for k, v in row.items()))

        plan = soak.Plan(
            *(60 * self.minutes, self.voices, self.clients, self.messages, self.switch),
            *(self.block, self.ahead, self.seed, self.apart),
        )
        figures = soak.measure(self.flags, self.checkpoint, plan, tell)
        summary = [
            {"what": k, "figure": report.cell(v)}
            for k, v in figures.items()
            if k not in ("rows", "log")
        ]
        report.table(console, f"Soak of {self.minutes:g} minutes", summary)
        if self.json is not None:
            try:
                self.json.write_text(json.dumps(figures, indent=1) + "\n")
            except OSError as error:
                raise UserError(f"cannot write {self.json}: {error}") from error
        if self.plot is not None:
            soak.plot(self.plot, figures)
        wrong = [name for name in soak.MUST_BE_ZERO if figures[name]]
        if wrong:
            raise UserError(f"not as it should be: {', '.join(wrong)}")
