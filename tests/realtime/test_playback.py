"""Facts about sound cards, with the test as their driver, and with JACK."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gansynth_server.audio import devices, soundcard
from gansynth_server.audio.devices import list_devices
from gansynth_server.audio.open import open_output
from gansynth_server.audio.playback import Playback
from gansynth_server.audio.soundcard import SoundCard
from gansynth_server.errors import UserError
from tests.support.jack import RATE, Jack, jack_ports, run_with_jack
from tests.support.sound_sources import (
    Constant,
    FakePortAudio,
    FakeStream,
    Tone,
    counting,
    use,
    wait_until,
)


@pytest.mark.parametrize(("name", "channels"), [("Scarlett 2i2 USB", 2), ("Beeper", 1)])
def test_sound_fades_in_and_out(monkeypatch: pytest.MonkeyPatch, name: str, channels: int) -> None:
    fake = FakePortAudio(name, default=0)
    use(monkeypatch, fake)
    card = SoundCard(blocksize=128, ahead=3)
    for take in range(2):
        source = Constant()
        card.start(source)
        assert source.blocks == 3  # rendered before the stream started
        stream = fake.streams[take]

        def block(stream: FakeStream = stream) -> NDArray[np.float32]:
            assert wait_until(lambda: card._playback.ring.fill >= 128)
            return stream.play()

        played = [block() for _ in range(6)]
        stopper = threading.Thread(target=card.stop)
        stopper.start()
        assert wait_until(lambda: card._playback._closing)
        while stopper.is_alive():
            played.append(block())
        sound = np.concatenate(played)
        assert sound.shape[1] == channels
        assert (sound[:, 0] == sound[:, -1]).all()
        assert np.abs(np.diff(sound[:, 0], prepend=0.0, append=0.0)).max() < 0.01
        assert sound.max() == 0.5
        assert stream.calls == ["start", "stop", "close"]
    card.stop()
    assert card.underruns == 0


def test_underruns_are_silence_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePortAudio("Scarlett 2i2 USB", default=0)
    use(monkeypatch, fake)
    card = SoundCard(blocksize=128, ahead=2)
    released = threading.Event()

    class Stuck(Constant):
        def render(self, frames: int) -> NDArray[np.float32]:
            if self.blocks >= 3:
                released.wait(20)
            return super().render(frames)

    card.start(Stuck())
    assert card.underruns == 0
    assert wait_until(lambda: card._playback.ring.fill == 256)
    heard = [fake.streams[0].play()]
    assert wait_until(lambda: card._playback.ring.fill == 256)
    heard += [fake.streams[0].play() for _ in range(6)]
    assert [bool(block.any()) for block in heard] == [*[True] * 5, *[False] * 2]  # two of them fade
    assert card.underruns == 4
    released.set()
    assert wait_until(lambda: card._playback.ring.fill == 256)
    heard.append(fake.streams[0].play(underflow=True))
    assert heard[-1].any()
    assert np.abs(np.diff(np.concatenate(heard)[:, 0], prepend=0.0)).max() < 0.01
    assert card.underruns == 5
    card.stop()


@pytest.mark.parametrize("blocksize", [16, 100, 256, 1024])
def test_no_gap_is_a_step(blocksize: int) -> None:
    draw = random.Random(blocksize)
    playback = Playback(48000, blocksize, ahead=4)
    blocks = []
    for n in range(2000):
        there = draw.choice((0, 0, 1, blocksize // 2, *[blocksize] * 40))
        if n > 1980:
            playback.fade_out()
        playback.ring.write(np.full((1, there), 0.5, np.float32))
        out = np.full((blocksize, 1), np.nan, np.float32)
        status = SimpleNamespace(output_underflow=False)
        playback.callback(out, blocksize, None, status)
        blocks.append(out[:, 0])
    sound = np.concatenate(blocks)
    fade = max(1, round(0.005 * 48000 / blocksize)) * blocksize
    # a rise may meet what is left of a fall
    assert np.abs(np.diff(sound, prepend=0.0, append=0.0)).max() < 2.1 * 0.5 * np.pi / 2 / fade
    assert sound.max() >= 0.5
    assert playback.silent


def test_a_lost_device_is_reopened_by_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakePortAudio("HDMI", "Scarlett 2i2 USB", default=0)
    use(monkeypatch, fake)
    monkeypatch.setattr(soundcard, "WATCH_SECONDS", 0.2)
    monkeypatch.setattr(soundcard, "RETRY_SECONDS", (0.02, 0.1))
    card, source = SoundCard("scarlett"), Constant()
    card.start(source)
    fake.names = ("HDMI",)
    fake.streams[0].active = False
    assert wait_until(lambda: "close" in fake.streams[0].calls)
    before = source.blocks
    assert wait_until(lambda: source.blocks > before + 20)  # the synth goes on
    fake.names = ("Scarlett 2i2 USB", "HDMI")
    assert wait_until(lambda: len(fake.streams) == 2)
    assert fake.streams[1].settings["device"] == 0
    assert wait_until(lambda: "is back" in caplog.text)
    heard = fake.streams[1].play()
    assert 0 < heard[0, 0] < 0.01  # fades in
    assert heard.max() > 0.4
    card.stop()
    assert "is gone" in caplog.text


def test_a_device_that_cannot_be_opened_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakePortAudio("HDMI", default=0)
    use(monkeypatch, fake)
    card = SoundCard()

    def busy(**_: Any) -> Any:
        raise fake.PortAudioError("Device unavailable")

    monkeypatch.setattr(fake, "OutputStream", busy)
    with pytest.raises(UserError, match="cannot play"):
        card.start(Constant())
    assert not [t for t in threading.enumerate() if t.name.startswith("audio-")]
    card.stop()


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
    output, line = open_output("auto")
    takes = []
    for _take in range(2):
        recorder, source, before = Recorder(), Numbered(output.rate), output.underruns
        output.start(source)
        recorder.connect()
        begin, primed = time.monotonic(), source.frames
        time.sleep(2.0)
        speed = (source.frames - primed) / (time.monotonic() - begin) / output.rate
        output.stop()
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
                "underruns": output.underruns - before,
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
    output.start(source)
    time.sleep(0.5)
    jack.end()
    wait_until(lambda: lines)
    begin, before = time.monotonic(), source.frames
    time.sleep(1.5)
    speed = (source.frames - before) / (time.monotonic() - begin) / output.rate
    output.stop()
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
