"""``gansynth presets`` and ``gansynth messages``."""

from __future__ import annotations

from dataclasses import dataclass

from gansynth_server.options import DEFAULT_CHECKPOINT


@dataclass(frozen=True)
class PresetsCommand:
    """List the presets of a checkpoint."""

    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server.model import checkpoint

        print("\n".join(checkpoint.load(self.checkpoint).presets))


@dataclass(frozen=True)
class MessagesCommand:
    """Print the table of OSC messages as Markdown."""

    def run(self) -> None:
        from gansynth_server.osc.spec import markdown

        print(markdown(), end="")
