"""Facts about the audio outputs."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from gansynth_server.audio import Output, clock, devices, list_devices, open_output, soundcard
from gansynth_server.audio.playback import Playback
from gansynth_server.audio.ring import Ring
from gansynth_server.audio.soundcard import SoundCard
from gansynth_server.errors import UserError
from tests.jack import RATE, Jack, jack_ports, run_with_jack


def counting(start: int, count: int) -> NDArray[np.float32]:
    return np.arange(start, start + count, dtype=np.float32)


class Tone:
    """A slowly rising sine at half of full scale, of which no two pieces are alike.

    Remembers what it gave and to which threads.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.blocks: list[NDArray[np.float32]] = []
        self.threads: set[str] = set()

    @property
    def frames(self) -> int:
        return sum(block.shape[1] for block in self.blocks)

    def render(self, frames: int) -> NDArray[np.float32]:
        self.threads.add(threading.current_thread().name)
        seconds = (self.frames + np.arange(frames)) / self.rate
        phase = 2 * np.pi * (200 + 50 * seconds) * seconds
        self.blocks.append((0.5 * np.sin(phase)).astype(np.float32)[None])
        return self.blocks[-1]


def wait_until(happened: Any, seconds: float = 20.0) -> bool:
    patience = time.monotonic() + seconds
    while not happened() and time.monotonic() < patience:
        time.sleep(0.02)
    return bool(happened())


# The ring


class RingMachine(RuleBasedStateMachine):
    """A ring behaves as a queue that takes whole blocks and pads with zeros."""

    @initialize(capacity=st.integers(1, 40))
    def create(self, capacity: int) -> None:
        self.ring = Ring(capacity)
        self.queue: deque[float] = deque()
        self.next = 1
        self.underruns = 0

    @rule(count=st.integers(0, 50))
    def write(self, count: int) -> None:
        fits = count <= self.ring.capacity - len(self.queue)
        assert self.ring.write(counting(self.next, count)[None]) == fits
        if fits:
            self.queue.extend(counting(self.next, count))
            self.next += count

    @rule(count=st.integers(0, 50), stride=st.integers(1, 3))
    def read(self, count: int, stride: int) -> None:
        out = np.full((count, stride), -1, dtype=np.float32)
        taken = [self.queue.popleft() for _ in range(min(count, len(self.queue)))]
        missing = count - len(taken)
        assert self.ring.read_into(out.T[:1]) == missing
        assert out[:, 0].tolist() == taken + [0.0] * missing
        assert (out[:, 1:] == -1).all()
        self.underruns += missing > 0

    @invariant()
    def agrees(self) -> None:
        assert self.ring.fill == len(self.queue)
        assert self.ring.space == self.ring.capacity - len(self.queue)
        assert self.ring.underruns == self.underruns


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(max_examples=50)


def test_ring_keeps_order_between_two_threads() -> None:
    ring, total = Ring(700), 200_000
    blocks = [counting(start, 100) for start in range(0, total, 100)]

    def write() -> None:
        for block in blocks:
            while not ring.write(block[None]):
                time.sleep(0)

    writer = threading.Thread(target=write)
    writer.start()
    heard: list[NDArray[np.float32]] = []
    while sum(map(len, heard)) < total:
        out = np.empty(64, dtype=np.float32)
        heard.append(out[: 64 - ring.read_into(out[None])])
    writer.join()
    assert np.array_equal(np.concatenate(heard), counting(0, total))


# The clock


class FakeTime:
    """A clock that only moves when told to, and an event that sleeps on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.slept = 0
        monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: self.now))

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        self.now += seconds + 0.0003  # every sleep is a little too long
        self.slept += 1
        return False


def test_pacer_does_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = FakeTime(monkeypatch)
    pacer = clock.Pacer(48000)
    for _ in range(10_000):
        fake.now += 0.002  # the work
        assert pacer.wait(256, fake)
    assert fake.now - 100 == pytest.approx(10_000 * 256 / 48000, abs=0.001)


def test_pacer_makes_up_for_a_short_hold_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = FakeTime(monkeypatch)
    pacer = clock.Pacer(1000)
    fake.now += 0.55
    assert all(pacer.wait(100, fake) for _ in range(5))
    assert fake.slept == 0
    assert pacer.wait(100, fake)
    assert fake.now == pytest.approx(100.6, abs=0.001)


def test_pacer_skips_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = FakeTime(monkeypatch)
    pacer = clock.Pacer(1000)
    fake.now += 7.0
    assert not pacer.wait(100, fake)
    assert pacer.wait(100, fake)
    assert fake.now == pytest.approx(107.1, abs=0.001)


# File and null


def play(output: Output, seconds: float) -> Tone:
    """Plays for about ``seconds``; what was asked for must have taken real time."""
    source = Tone(output.rate)
    begin = time.monotonic()
    output.start(source)
    time.sleep(seconds)
    output.stop()
    elapsed = time.monotonic() - begin
    asked = source.frames / output.rate - output.latency  # it is one block ahead
    assert asked == pytest.approx(elapsed, rel=0.05)
    assert len(source.threads) == 1
    assert threading.current_thread().name not in source.threads
    return source


@pytest.mark.parametrize(("suffix", "tolerance"), [("wav", 0.0), ("flac", 2**-23)])
def test_a_file_holds_what_the_source_gave(tmp_path: Path, suffix: str, tolerance: float) -> None:
    path = tmp_path / f"take.{suffix}"
    output, line = open_output(str(path), rate=16000, blocksize=200, device=None)
    source = play(output, 1.5)
    samples, rate = soundfile.read(path, dtype="float32")
    assert (line, rate, output.rate, output.latency) == (None, 16000, 16000, 200 / 16000)
    assert str(path) in output.name
    assert output.underruns == 0
    np.testing.assert_allclose(
        samples, np.concatenate(source.blocks, axis=1)[0], rtol=0, atol=tolerance
    )


def test_an_ogg_file_sounds_like_the_source(tmp_path: Path) -> None:
    path = tmp_path / "take.OGG"
    source = play(open_output(str(path))[0], 1.0)
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 48000
    assert len(samples) == source.frames
    assert np.abs(samples - np.concatenate(source.blocks, axis=1)[0]).max() < 0.05


def test_null_keeps_time_and_can_be_started_again() -> None:
    output, line = open_output("none", rate=48000, blocksize=None)
    assert line is None
    output.stop()
    for _ in range(2):
        play(output, 1.0)
        output.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("audio-")]


def test_a_failing_source_is_silence_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    class Failing:
        def render(self, frames: int) -> NDArray[np.float32]:
            calls.append(frames)
            raise RuntimeError("a bug in the synth")

    output, _ = open_output("none", rate=16000, blocksize=64)
    output.start(Failing())
    assert wait_until(lambda: len(calls) >= 5)
    output.stop()
    lines = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert 1 <= len(lines) < len(calls)


def test_a_recording_that_breaks_off_does_not_stop_the_clock(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output: Any = open_output(str(tmp_path / "take.wav"))[0]

    def full(block: NDArray[np.float32]) -> None:
        raise OSError("No space left on device")

    output._file.write = full
    source = Tone(output.rate)
    output.start(source)
    assert wait_until(lambda: len(source.blocks) >= 10)
    output.stop()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "No space left" in caplog.text


@pytest.mark.parametrize("name", ["take.mp3", "take", "sound card"])
def test_an_unknown_output_names_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"auto, soundcard, none .*\.wav, \.flac, \.ogg"):
        open_output(str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*nowhere.take\.wav"):
        open_output(str(tmp_path / "nowhere" / "take.wav"))


@pytest.mark.parametrize("setting", [{"rate": 0}, {"rate": -1}, {"blocksize": 0}])
def test_impossible_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="out of range"):
        open_output("none", **setting)


# Which output


class FakePortAudio:
    """As much of sounddevice as an output takes; the test calls the callback."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *names: str, default: int = -1, refuses: bool = False) -> None:
        self.names = names
        self.streams: list[FakeStream] = []
        self._default = default
        self._refuses = refuses

    def query_hostapis(self, index: int | None = None) -> Any:
        return [{"name": "ALSA", "devices": []}] if index is None else {"name": "ALSA"}

    def query_devices(self, kind: str | None = None) -> Any:
        devices = [
            {
                "index": index,
                "name": name,
                "hostapi": 0,
                "max_output_channels": {"Microphone": 0, "Beeper": 1}.get(name, 2),
                "default_samplerate": 44100.0,
                "default_low_output_latency": 0.01,
            }
            for index, name in enumerate(self.names)
        ]
        if kind is None:
            return devices
        if not 0 <= self._default < len(devices):
            raise self.PortAudioError("Error querying device -1")
        return devices[self._default]

    def check_output_settings(self, device: int, channels: int, samplerate: int) -> None:
        if self._refuses:
            raise self.PortAudioError("Device unavailable")

    def OutputStream(self, **settings: Any) -> FakeStream:  # noqa: N802
        self.streams.append(FakeStream(settings))
        return self.streams[-1]

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        pass


class FakeStream:
    active = True

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")

    def play(self, underflow: bool = False) -> NDArray[np.float32]:
        """What the callback gives: [frames, channels]."""
        frames, channels = self.settings["blocksize"], self.settings["channels"]
        out = np.full((frames, channels), np.nan, dtype=np.float32)
        self.settings["callback"](out, frames, None, SimpleNamespace(output_underflow=underflow))
        return out


class Constant:
    """Half of full scale for ever; ``blocks`` counts the calls."""

    blocks = 0

    def render(self, frames: int) -> NDArray[np.float32]:
        self.blocks += 1
        return np.full((1, frames), 0.5, dtype=np.float32)


def use(monkeypatch: pytest.MonkeyPatch, fake: FakePortAudio) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake)


CARDS = ("Microphone", "HDA Intel: HDMI 0", "HDA Intel: ALC662 Analog", "Scarlett 2i2 USB")


def lack_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing sounddevice fails as it does without the PortAudio library."""

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])


def test_without_a_sound_card(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakePortAudio("Microphone"))
    output, line = open_output("auto")
    assert output.name == "none (no sound)"
    assert line is not None
    assert "\n" not in line
    assert line.startswith("serving Pd streams only, because no sound card was found")
    with pytest.raises(UserError, match=r"--list-devices.*--output none"):
        open_output("soundcard")
    with pytest.raises(UserError):
        open_output("auto", device="Scarlett")
    assert list_devices() == "no sound card was found"


def test_without_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    lack_portaudio(monkeypatch)
    assert open_output("auto")[1] is not None
    with pytest.raises(UserError, match="libportaudio2"):
        open_output("soundcard")
    assert "libportaudio2" in list_devices()


def test_without_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match="pip install sounddevice"):
        open_output("soundcard")
    assert "pip install sounddevice" in list_devices()


def test_a_busy_sound_card(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakePortAudio(*CARDS, default=2, refuses=True))
    output, line = open_output("auto")
    assert output.name == "none (no sound)"
    assert "Device unavailable" in str(line)
    with pytest.raises(UserError, match=r"at 44100 Hz.*Device unavailable"):
        open_output("soundcard")


@pytest.mark.parametrize(
    ("wanted", "default", "name"),
    [
        (None, 2, "HDA Intel: ALC662 Analog, ALSA"),
        (None, -1, "HDA Intel: HDMI 0, ALSA"),
        ("scarlett", 2, "Scarlett 2i2 USB, ALSA"),
        ("hda intel", 2, "HDA Intel: HDMI 0, ALSA"),
        ("hda intel: alc662 analog, alsa", -1, "HDA Intel: ALC662 Analog, ALSA"),
        ("3", 2, "Scarlett 2i2 USB, ALSA"),
    ],
)
def test_a_device_is_found(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, default: int, name: str
) -> None:
    use(monkeypatch, FakePortAudio(*CARDS, default=default))
    output, line = open_output("auto", device=wanted, blocksize=441)
    assert (output.name, output.rate, line) == (name, 44100, None)
    assert output.latency == pytest.approx(0.04 + 0.01)


@pytest.mark.parametrize(
    ("wanted", "suggestion"), [("Scarlet 2i4", "Scarlett 2i2 USB"), ("0", "HDA"), ("zz", "HDA")]
)
def test_an_unknown_device_names_the_closest(
    monkeypatch: pytest.MonkeyPatch, wanted: str, suggestion: str
) -> None:
    use(monkeypatch, FakePortAudio(*CARDS, default=2))
    with pytest.raises(UserError, match=f"'{wanted}'.*{suggestion}.*--list-devices"):
        open_output("soundcard", device=wanted)


def test_the_table_of_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakePortAudio(*CARDS, default=2))
    rows = list_devices().splitlines()
    assert len(rows) == 3
    assert [row.startswith("*") for row in rows] == [False, True, False]
    assert all("44100" in row for row in rows)


def test_libraries_are_imported_late() -> None:
    code = (
        "import sys, gansynth_server.audio, gansynth_server.audio.soundcard; "
        "import gansynth_server.audio.file; "
        "assert not {'sounddevice', 'soundfile'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# A sound card, with the test as its driver


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


# A sound card, with JACK as its driver


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
