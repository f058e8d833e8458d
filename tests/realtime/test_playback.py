"""Facts about sound cards, with the test as their driver, and with JACK."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gansynth_server.audio import devices
from gansynth_server.audio.devices import list_devices
from gansynth_server.audio.open import open_output
from tests.support.jack import RATE, Jack, jack_ports, run_with_jack
from tests.support.sound_loop import playing
from tests.support.sound_sources import (
    Tone,
    counting,
    wait_until,
)

# with JACK as the driver


class Recorder:
    """Records at JACK's inputs what our output sends, once they are connected."""

    def __init__(self) -> None:
        import sounddevice

        self._blocks: list[NDArray[np.float32]] = []
        self._stream = sounddevice.InputStream(
            samplerate=RATE, blocksize=256, channels=2, dtype="float32", callback=self._callback
        )
        self._stream.start()

    def _callback(self, block: NDArray[np.float32], *_: Any) -> None:
        self._blocks.append(block.copy())

    def connect(self) -> None:
        ports = [port for port in jack_ports() if port.startswith("PortAudio")]
        outputs = [port for port in ports if ":out_" in port]
        inputs = [port for port in ports if ":in_" in port]
        for pair in zip(outputs, inputs, strict=True):
            subprocess.run(["jack_connect", *pair], check=True, timeout=20)

    def stop(self) -> NDArray[np.float32]:
        """All samples so far [frames, 2]."""
        self._stream.close()
        return np.concatenate(self._blocks)


class Numbered(Tone):
    """No two samples are alike: sample n is n / 2^19, up to half of full scale."""

    def render(self, frames: int) -> NDArray[np.float32]:
        self.threads.add(threading.current_thread().name)
        self.blocks.append((counting(self.frames, frames) / 2**19).astype(np.float32)[None])
        return self.blocks[-1]


def play_twice(jack: Jack) -> list[dict[str, Any]]:
    """Two takes of two seconds on the JACK device."""
    jack.start()
    sys.setswitchinterval(0.0005)
    takes = []
    for _take in range(2):
        output, line = open_output("auto")
        recorder, source = Recorder(), Numbered(output.rate)
        with playing(output, source):
            wait_until(lambda source=source: source.frames > 2000)  # type: ignore[misc]
            recorder.connect()
            begin, primed = time.monotonic(), source.frames
            time.sleep(2.0)
            speed = (source.frames - primed) / (time.monotonic() - begin) / output.rate
        output.stop()
        left, right = recorder.stop().T * 2**19
        steps = np.diff(left[right > 0])  # one is connected before the other
        takes.append(
            {
                "name": output.name,
                "line": line,
                "rate": output.rate,
                "latency": output.latency,
                "threads": len(source.threads),
                "speed": speed,
                "underruns": output.underruns,
                "stereo": bool((left == right)[right > 0].all()),
                "heard": len(steps) / RATE,
                "in order": float((steps == 1).mean()),
            }
        )
    return takes


@pytest.mark.real_time
def test_a_real_sound_card_plays_what_the_source_gives() -> None:
    takes = run_with_jack(play_twice)
    print(takes)
    for take in takes:
        assert take["line"] is None
        assert take["name"] == "system, JACK Audio Connection Kit"
        assert take["rate"] == RATE
        assert 0.02 < take["latency"] < 0.05
        assert take["threads"] == 1
        assert take["speed"] == pytest.approx(1.0, rel=0.05)
        assert take["underruns"] < 40  # of 375 blocks, on a loaded machine
        assert take["stereo"]
        assert take["heard"] > 1.5
        assert take["in order"] > 0.95  # the fade at the end is not


def lose_jack(jack: Jack) -> dict[str, Any]:
    """Plays, ends JACK, and goes on without."""
    jack.start()
    sys.setswitchinterval(0.0005)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("gansynth_server.audio").addHandler(handler)
    output, _ = open_output("soundcard", device="system")
    source = Tone(output.rate)
    with playing(output, source):
        time.sleep(0.5)
        jack.end()
        wait_until(lambda: lines)
        begin, before = time.monotonic(), source.frames
        time.sleep(1.5)
        speed = (source.frames - before) / (time.monotonic() - begin) / output.rate
    left = sum(thread.name.startswith("audio-") for thread in threading.enumerate())
    return {"lines": lines, "speed": speed, "threads": len(source.threads), "left": left}


def test_the_synth_outlives_jack() -> None:
    result = run_with_jack(lose_jack)
    print(result)
    assert len(result["lines"]) == 1
    assert "is gone" in result["lines"][0]
    assert result["speed"] == pytest.approx(1.0, rel=0.05)
    assert (result["threads"], result["left"]) == (1, 0)


def find_a_new_device(jack: Jack) -> list[str]:
    tables = [list_devices()]
    jack.start()
    tables.append(list_devices())
    devices.rescan()
    tables.append(list_devices())
    return tables


def test_a_rescan_finds_new_devices() -> None:
    before, frozen, after = run_with_jack(find_a_new_device)
    assert "system, JACK" not in before + frozen
    assert "system, JACK" in after
