"""Lines and their true pitch: what is heard of them, how soon, and what it takes.

``pytest -s tests/analysis/test_pitch_track.py`` prints the figures.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from gansynth_server.analysis.pitch_track import track
from gansynth_server.offline.transfer import HeardLine, hear
from tests.support import lines
from tests.support.line_figures import Figures, figures, vibrato
from tests.support.lines import Line
from tests.support.training_runs import soundfont_file

RATE = 16000
OWN = list(lines.own())


@pytest.fixture(scope="module")
def melodies() -> list[Line]:
    return list(lines.played(soundfont_file()))


def heard_pitch(line: HeardLine) -> NDArray[np.float64]:
    """The pitch (Hz) of each frame; nan where no note sounds."""
    hertz = np.full(len(line.brightness), np.nan)
    for note in line.notes:
        hertz[note.frames] = 440 * 2 ** ((note.pitches - 69) / 12)
    return hertz


def check(found: Figures) -> None:
    """What a line that is followed well is like."""
    assert np.nanmedian(found.cents) <= 10
    assert np.mean(found.cents <= 50) >= 0.97
    assert not found.spurious
    assert np.abs(found.depth - 1).max(initial=0) <= 0.15
    assert np.abs(found.rate - 1).max(initial=0) <= 0.15


@pytest.mark.parametrize("line", OWN, ids=[line.name for line in OWN])
def test_a_line_of_sines_is_heard(line: Line) -> None:
    found = figures(line, heard_pitch(hear(line.sound)))
    print(f"\n{line.name}: {found}")
    check(found)


def test_twenty_melodies_by_a_soundfont_are_heard(melodies: list[Line]) -> None:
    assert len(melodies) == 20
    found = {line.name: figures(line, heard_pitch(hear(line.sound))) for line in melodies}
    for name, each in found.items():
        print(f"\n{name}: {each}", end="")
        check(each)
    print(f"\nall twenty: {Figures.together(found.values())}")


def test_notes_are_neither_split_nor_run_together(melodies: list[Line]) -> None:
    """Repeated notes may pass for one, if their player hardly stops between them."""
    true, matched, begun = 0, 0, 0
    for line in melodies:
        starts = [note.first * 0.005 for note in hear(line.sound).notes]
        begun += len(starts)
        true += len(line.notes)
        for begin, _ in line.notes:
            near = [start for start in starts if abs(start - begin) <= 0.06]
            if near:
                matched += 1
                starts.remove(min(near, key=lambda start: abs(start - begin)))
    print(f"\n{true} notes, {matched} begun within 60 ms, {begun - matched} others")
    assert matched >= 0.85 * true
    assert begun - matched <= 0.06 * true


def test_it_is_fast() -> None:
    sound = np.concatenate([line.sound for line in OWN])
    track(sound[:RATE])
    begun = time.process_time()  # of all threads
    line = hear(sound)
    speed = line.seconds / (time.process_time() - begun)
    print(f"\n{speed:.0f} × real time")
    assert speed >= 20


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(10), np.zeros(RATE)], ids=len)
def test_silence_has_no_pitch(sound: NDArray[np.float64]) -> None:
    heard = track(sound.astype(np.float32))
    assert not (heard.hertz > 0).any()
    assert len(heard.hertz) == len(heard.level) == len(heard.confidence) == len(sound) // 80 + 1


def test_noise_has_little_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    heard = track(0.1 * noise)
    assert np.mean((heard.hertz > 0) & (heard.confidence > 0.7)) < 0.02


@pytest.mark.parametrize("hertz", [60.0, 110.0, 440.0, 1000.0, 2000.0])
@pytest.mark.parametrize("level", [1e-3, 1.0])
def test_sines_are_heard_at_any_level(hertz: float, level: float) -> None:
    sound = level * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
    heard = track(sound.astype(np.float32))
    inner = slice(20, -20)
    assert np.abs(1200 * np.log2(heard.hertz[inner] / hertz)).max() < 2
    assert np.abs(heard.level[inner] - 20 * np.log10(level / 2**0.5)).max() < 1


def test_a_range_is_kept_to() -> None:
    sound = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE).astype(np.float32)
    heard = track(sound, lowest=200, highest=1000)
    voiced = heard.hertz[heard.hertz > 0]
    assert ((voiced > 190) & (voiced < 1100)).all()


def test_the_measure_of_vibrato() -> None:
    at = np.arange(200) * 0.005
    hertz = 440 * 2 ** ((0.4 * np.sin(2 * np.pi * 5.3 * at) + 0.3 * at) / 12)
    rate, depth = vibrato(hertz)
    assert rate == pytest.approx(5.3, abs=0.03)
    assert depth == pytest.approx(0.4, rel=0.02)
