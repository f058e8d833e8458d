"""The whole way to a sound card: OSC in, JACK's dummy driver out, recorded there."""

import subprocess
import time
from typing import Any

import numpy as np
import pytest

from tests.support.client import Client
from tests.support.jack import RATE, Jack, jack_ports, run_with_jack
from tests.support.server import ServerProcess, run_server

pytestmark = pytest.mark.real_time


def play_on_jack(jack: Jack) -> dict[str, Any]:
    """A server on the JACK device plays note 69; a JACK client records what reaches the card."""
    jack.start()
    with ServerProcess("--output", "soundcard") as server:
        import sounddevice as sd

        peer = Client(server.port)
        peer.ask("/notify", 1)
        blocks: list[np.ndarray] = []
        before = jack_ports()
        record = sd.InputStream(
            samplerate=RATE, channels=1, callback=lambda block, *_: blocks.append(block.copy())
        )
        with record:
            outputs = [p for p in before if p.startswith("PortAudio:out")]
            inputs = [p for p in jack_ports() if p not in before and ":in" in p]
            subprocess.run(["jack_connect", outputs[0], inputs[0]], check=True, timeout=20)
            peer.send("/z/preset", "z", "drawbar_organ")
            peer.send("/note", 69, 100)
            peer.until("/note/start")
            time.sleep(2)
            status = peer.ask("/status")
        status_code = server.stop()
        sound = np.concatenate(blocks)[:, 0]
        part = sound[-RATE - RATE // 4 : -RATE // 4]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * len(part)))
        near = slice(8 * 420, 8 * 460)
        return {
            "ready": server.lines[-1],
            "hertz": 420 + float(spectrum[near].argmax()) / 8,
            "level": float(np.abs(part).max()),
            "voices": status[1],
            "rate": status[6],
            "exit": status_code,
            "errors": server.errors,
        }


def test_note_69_reaches_the_sound_card_in_tune():
    result = run_with_jack(play_on_jack)
    assert "JACK" in result["ready"]
    assert abs(1200 * np.log2(result["hertz"] / 440)) < 10
    assert 0.01 < result["level"] <= 1
    assert (result["voices"], result["rate"], result["exit"]) == (1, RATE, 0)
    assert not result["errors"]


def test_asking_for_a_sound_card_where_there_is_none():
    import sounddevice as sd

    if len(sd.query_devices()):
        pytest.skip("this machine has a sound card")
    done = run_server("--port", "0", "--output", "soundcard")
    assert done.returncode == 1
    assert "--output none" in done.stderr and done.stderr.count("\n") == 1
    assert "sound card" in run_server("--list-devices").stdout


def test_auto_without_a_sound_card_says_so_and_serves():
    import sounddevice as sd

    if len(sd.query_devices()):
        pytest.skip("this machine has a sound card")
    with ServerProcess("--output", "auto") as server:
        assert any("Pd streams only" in line for line in server.lines[:-1])
        assert Client(server.port).ask("/version")[1] == "gansynth-server"
