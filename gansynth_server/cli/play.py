"""``gansynth play``: a phrase, to hear that all works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from gansynth_server.options import DEFAULT_CHECKPOINT, ServerOptions


@dataclass(frozen=True)
class PlayCommand:
    """Start a server, play a phrase over OSC, and end it."""

    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    """File for the sound; the sound card if not given, or phrase.wav where there is none."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server.cli.phrase import play

        output = "auto" if self.output is None else str(self.output)
        options = ServerOptions(checkpoint=self.checkpoint, port=0, seed=1, output=output)
        print(play(options))
