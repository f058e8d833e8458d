"""A sound card by PortAudio, here a faked one: fades, underruns, and devices that go."""

from __future__ import annotations

import random
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gansynth_server.audio import soundcard
from gansynth_server.audio.playback import Playback
from gansynth_server.audio.soundcard import SoundCard
from tests.support.sound_loop import feed, playing
from tests.support.sound_sources import (
    Constant,
    FakePortAudio,
    use,
    wait_until,
)


def no_watcher() -> bool:
    return not [t for t in threading.enumerate() if t.name.startswith("audio-")]


@pytest.mark.parametrize("blocksize", [16, 128])
@pytest.mark.parametrize(("name", "channels"), [("Scarlett 2i2 USB", 2), ("Beeper", 1)])
def test_sound_fades_in_and_out(
    monkeypatch: pytest.MonkeyPatch, name: str, channels: int, blocksize: int
) -> None:
    fake = FakePortAudio(name, default=0)
    use(monkeypatch, fake)
    card, source = SoundCard(blocksize=blocksize, ahead=3), Constant()
    card.stop()
    assert not card.wanted(time.monotonic())
    card.start()
    assert feed(card, source) == 3
    (stream,) = fake.streams  # opened once three blocks were there
    played = []
    for _ in range(40):
        assert 0 < card.pause(time.monotonic()) <= blocksize / 44100
        played.append(stream.play())
        assert card.pause(time.monotonic()) == 0
        assert feed(card, source) == 1
    stopper = threading.Thread(target=card.stop)
    stopper.start()
    assert wait_until(lambda: card._playback._closing)
    while stopper.is_alive():
        played.append(stream.play())
    sound = np.concatenate(played)
    assert sound.shape[1] == channels
    assert (sound[:, 0] == sound[:, -1]).all()
    assert np.abs(np.diff(sound[:, 0], prepend=0.0, append=0.0)).max() < 0.01
    assert sound.max() == 0.5
    assert stream.calls == ["start", "stop", "close"]
    assert not card.wanted(time.monotonic())
    assert card.pause(time.monotonic()) > 0
    card.stop()
    assert card.underruns == 0


def test_underruns_are_silence_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePortAudio("Scarlett 2i2 USB", default=0)
    use(monkeypatch, fake)
    card, source = SoundCard(blocksize=128, ahead=2), Constant()
    card.start()
    assert feed(card, source) == 2
    assert card.underruns == 0
    heard = [fake.streams[0].play()]
    assert feed(card, source) == 1
    heard += [fake.streams[0].play() for _ in range(6)]  # held up
    assert [bool(block.any()) for block in heard] == [*[True] * 5, *[False] * 2]  # two of them fade
    assert card.underruns == 4
    assert feed(card, source) == 2
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
    with playing(card, source):
        assert wait_until(lambda: fake.streams)
        fake.names = ("HDMI",)
        fake.streams[0].active = False
        assert wait_until(lambda: "close" in fake.streams[0].calls)
        before, begin = source.blocks, time.monotonic()
        time.sleep(0.5)  # the music's time goes on
        blocks = (time.monotonic() - begin) * 44100 / 256
        assert source.blocks - before == pytest.approx(blocks, rel=0.2)
        fake.names = ("Scarlett 2i2 USB", "HDMI")
        assert wait_until(lambda: len(fake.streams) == 2)
        assert fake.streams[1].settings["device"] == 0
        assert wait_until(lambda: "is back" in caplog.text)
        heard = fake.streams[1].play()
        assert 0 < heard[0, 0] < 0.01  # fades in
        assert heard.max() > 0.4
    assert "is gone" in caplog.text
    assert no_watcher()


def test_a_device_that_cannot_be_opened_is_tried_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakePortAudio("HDMI", default=0)
    use(monkeypatch, fake)
    monkeypatch.setattr(soundcard, "RETRY_SECONDS", (0.02, 0.1))
    card, source = SoundCard(), Constant()

    def busy(**_: Any) -> Any:
        raise fake.PortAudioError("Device unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(fake, "OutputStream", busy)
        card.start()
        feed(card, source)
        (line,) = caplog.messages
        assert "'HDMI, ALSA' cannot be opened (Device unavailable): no sound from it" in line
        before = source.blocks
        while source.blocks < before + 20:  # in real time, into nothing
            feed(card, source)
            time.sleep(card.pause(time.monotonic()))
    assert wait_until(lambda: "is back" in caplog.text)
    assert fake.streams[0].play().any()
    assert feed(card, source) == 1
    stopper = threading.Thread(target=card.stop)
    stopper.start()
    while stopper.is_alive():
        fake.streams[0].play()
    assert no_watcher()


def test_a_device_that_is_lost_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePortAudio("HDMI", default=0)
    use(monkeypatch, fake)
    card = SoundCard()
    fake.names = ()
    card.start()
    feed(card, Constant())
    begin = time.monotonic()
    card.stop()
    assert time.monotonic() - begin < 0.4
    assert no_watcher() and not fake.streams
