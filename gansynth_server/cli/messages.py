"""``gansynth messages``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MessagesCommand:
    """Print the table of OSC messages as Markdown."""

    def run(self) -> None:
        from gansynth_server.osc.table import markdown

        print(markdown(), end="")
