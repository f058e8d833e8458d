"""Which output is taken: what there is, what it is called, what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gansynth_server.audio.devices import list_devices
from gansynth_server.audio.open import open_output
from gansynth_server.errors import UserError
from tests.support.sound_sources import FakePortAudio, use

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


@pytest.mark.parametrize("name", ["take.wav", "take.FLAC", "take.ogg"])
def test_a_file_is_a_clock_of_its_name(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    output, line = open_output(path, rate=16000, blocksize=200)
    assert (output.name, line, output.channels) == (path, None, 1)
    assert (output.rate, output.blocksize, output.latency) == (16000, 200, 200 / 16000)
    output, _ = open_output(path, channels=2)
    assert (output.rate, output.blocksize, output.channels) == (48000, 256, 2)
    assert not list(tmp_path.iterdir())  # a recorder writes it


@pytest.mark.parametrize("name", ["take.mp3", "take", "sound card"])
def test_an_unknown_output_names_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"auto, soundcard, none .*\.wav, \.flac, \.ogg"):
        open_output(str(tmp_path / name))


@pytest.mark.parametrize("setting", [{"rate": 0}, {"rate": -1}, {"blocksize": 0}])
def test_impossible_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="out of range"):
        open_output("none", **setting)


def test_libraries_are_imported_late() -> None:
    code = (
        "import sys, gansynth_server.audio, gansynth_server.audio.soundcard; "
        "import gansynth_server.audio.open, gansynth_server.audio.sound_file; "
        "assert not {'sounddevice', 'soundfile'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
