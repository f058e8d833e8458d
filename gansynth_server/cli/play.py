"""``gansynth play``: a phrase, to hear that all works, or the page to play oneself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from gansynth_server.options import DEFAULT_CHECKPOINT, ServerOptions

BEAT = 0.3
"""Length (s) of a beat."""
PHRASE: tuple[tuple[str, tuple[tuple[int, ...], ...]], ...] = (
    ("acoustic_grand_piano", ((48,), (60,), (64,), (67,), (72,), (67,), (64,), (60,))),
    ("vibraphone", ((57,), (60,), (64,), (69,), (72,), (69,))),
    ("trumpet", ((65,), (69,), (72,), (77,))),
    ("string_ensemble_1", ((43, 55, 59, 62), (), (48, 55, 60, 64), (), (), ())),
)
"""Presets, each with its chords, a beat apart."""
FALLBACK = "phrase.wav"
"""File for the sound where there is no sound card."""


@dataclass(frozen=True)
class PlayCommand:
    """Start a server, play a phrase over OSC, and end it."""

    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    """File for the sound; the sound card if not given, or phrase.wav where there is none."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""
    page: bool = False
    """Play in the browser instead: opens a page, and ends with Ctrl-C."""

    def run(self) -> None:
        if self.page:
            play_in_browser(self.checkpoint)
            return
        from gansynth_server.audio.open import open_output
        from gansynth_server.server.server import Server

        output = "auto" if self.output is None else str(self.output)
        if output == "auto" and open_output(output)[1] is not None:
            output = FALLBACK
        server = Server(ServerOptions(checkpoint=self.checkpoint, port=0, seed=1, output=output))
        server.start()
        print(server.ready_line())
        try:
            underruns = play_phrase(server.port)
        finally:
            server.stop()
        print(f"played to {server.output_name}, {underruns} underruns")


def play_in_browser(checkpoint: str) -> None:
    """Start a server, open its page in the user's browser, and wait for Ctrl-C or ``/quit``."""
    import webbrowser

    from gansynth_server.server.server import Server

    options = ServerOptions(checkpoint=checkpoint, port=0, output="none", page=0)
    server = Server(options)
    server.start()
    assert server.page is not None
    try:
        print(server.page.remark, flush=True)
        webbrowser.open(server.page.link)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


def play_phrase(port: int) -> int:
    """Play the phrase to a server on this machine, with those presets that it has.

    Returns:
        The underruns that the server counts.
    """
    from gansynth_server.client import connect

    with connect(port=port) as client:
        due = time.monotonic() + 0.2
        for preset, chords in PHRASE:
            client.preset("z", preset)
            for chord in chords:
                time.sleep(max(0.0, due - time.monotonic()))
                if chord:
                    client.all_notes_off()
                for pitch in chord:
                    client.note(pitch)
                due += BEAT
        time.sleep(max(0.0, due - time.monotonic()))
        client.all_notes_off()
        time.sleep(0.6)  # until the last release has died away
        return client.status().underruns
