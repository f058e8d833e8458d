"""A keyboard on a MIDI cable of JACK."""

import os
import subprocess

import mido
import pytest

from gansynth_server.midi import ports
from tests.support.client import Client
from tests.support.jack import run_with_jack
from tests.support.server import ServerProcess

JACK_BACKEND = "mido.backends.rtmidi/UNIX_JACK"


def play_through_jack(jack):
    """A whole server, played over a MIDI cable of JACK."""
    os.environ["MIDO_BACKEND"] = JACK_BACKEND  # for the server, which is a child
    jack.start()
    with ServerProcess("--output", "none", "--midi", "virtual") as server:
        peer = Client(server.port)
        joined = peer.ask("/midi/join", 1)
        peer.ask("/notify", 1)
        backend = mido.Backend(JACK_BACKEND)
        keyboard = backend.open_output("out", virtual=True, client_name="keyboard")
        connect = ["jack_connect", "keyboard:out", f"{ports.NAME}:{ports.NAME}"]
        subprocess.run(connect, check=True, timeout=20)
        replies = [joined]
        keyboard.send(mido.Message("note_on", note=60, velocity=100))
        replies.append(peer.receive())
        keyboard.send(mido.Message("note_off", note=60))
        replies.append(peer.receive())
        keyboard.close()
        return replies


def test_a_keyboard_plays_the_server_through_jack():
    pytest.importorskip("rtmidi")
    assert run_with_jack(play_through_jack) == [
        ["/done", "/midi/join", 1],
        ["/note/start", "midi 1 60"],
        ["/note/end", "midi 1 60"],
    ]
