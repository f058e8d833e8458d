"""A short phrase over OSC: what ``make play`` plays, and an example of a client."""

from __future__ import annotations

import time
from dataclasses import replace

from gansynth_server.options import ServerOptions

BEAT = 0.3
"""Seconds."""
FALLBACK = "phrase.wav"

PHRASE: tuple[tuple[str, tuple[tuple[int, ...], ...]], ...] = (
    ("acoustic_grand_piano", ((48,), (60,), (64,), (67,), (72,), (67,), (64,), (60,))),
    ("vibraphone", ((57,), (60,), (64,), (69,), (72,), (69,))),
    ("trumpet", ((65,), (69,), (72,), (77,))),
    ("string_ensemble_1", ((43, 55, 59, 62), (), (48, 55, 60, 64), (), (), ())),
)
"""Presets, each with its chords, a beat apart."""


def play(options: ServerOptions) -> str:
    """Start a server, play the phrase through its socket, and end it.

    Args:
        options: its output ``auto`` becomes :data:`FALLBACK` where there is no sound card.

    Returns:
        A line that says where the sound went.
    """
    from pythonosc.udp_client import SimpleUDPClient

    from gansynth_server.audio.open import open_output
    from gansynth_server.server.server import Server

    if options.output == "auto" and open_output("auto", device=options.device)[1] is not None:
        options = replace(options, output=FALLBACK)
    server = Server(options)
    server.start()
    print(server.ready_line())
    try:
        client = SimpleUDPClient("127.0.0.1", server.port)
        due = time.monotonic() + 0.2
        for preset, chords in PHRASE:
            client.send_message("/z/preset", ["z", preset])
            for chord in chords:
                time.sleep(max(0.0, due - time.monotonic()))
                if chord:
                    client.send_message("/allnotesoff", [])
                for pitch in chord:
                    client.send_message("/note", [pitch, 100])
                due += BEAT
        time.sleep(max(0.0, due - time.monotonic()))
        client.send_message("/allnotesoff", [])
        time.sleep(0.6)
        underruns = server.underruns
    finally:
        server.stop()
    return f"played to {server.output_name}, {underruns} underruns"
