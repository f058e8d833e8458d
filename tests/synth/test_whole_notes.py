"""Whole notes at once: the same samples as a bus of each note's own."""

import numpy as np
import pytest

from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.envelope import RELEASE, Envelope
from gansynth_server.synth.note import Note
from gansynth_server.synth.whole_notes import MAX_ROWS, WholeNotes


def a_spectrum(seed: int, level: float = 1.0) -> Spectrum:
    """A spectrum as rough as none of a network's: noise with steady partials."""
    random = np.random.default_rng(seed)
    magnitude = random.random((128, 1024), np.float32) * np.float32(0.3)
    magnitude[:, 40::37] += 20
    increment = random.standard_normal((128, 1024), np.float32)
    increment += np.arange(1, 1025, dtype=np.float32) * np.float32(np.pi / 2)
    return Spectrum(magnitude * np.float32(level), increment)


def a_note(seed: int, pitch: float = 60, duration: float = 4.0, level: float = 1.0) -> Note:
    note = Note(0, 0, pitch, 100, 60)
    note.spectrum = a_spectrum(seed, level)
    note.off = None if duration == 4 else max(0.0, duration - RELEASE)
    return note


def alone(note: Note, rate: int, samples: int) -> np.ndarray:
    """The sound of one note through a bus of its own, as ``Model.generate`` renders it."""
    bus = Bus(rate, 1, gain=1.0)
    bus.start(note)
    skip = round(bus.delay * rate)
    return bus.render(samples + skip)[0, skip:]


def assert_same(notes: list[Note], rate: int, seconds: float = 4.0) -> None:
    samples = round(seconds * rate)
    sounds = WholeNotes(rate).render(notes, samples)
    for note, sound in zip(notes, sounds, strict=True):
        expected = alone(note, rate, samples)
        assert sound.shape == expected.shape == (samples,) and sound.dtype == np.float32
        assert np.abs(expected).max() > 0.02
        assert np.abs(sound - expected).max() <= 1e-5


# 44.1 and 22.05 kHz divide no hop; 44,117 Hz has no common turn with the voices' rate either
@pytest.mark.parametrize("rate", [16000, 48000, 96000, 44100, 22050, 44117])
def test_plain_notes_are_those_of_a_bus(rate):
    assert_same([a_note(1), a_note(2)], rate)
    assert_same([a_note(3, duration=0.7)], rate, 0.7)
    assert_same([a_note(3, duration=0.05)], rate, 0.05)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_repitched_notes_are_those_of_a_bus(rate):
    notes = [a_note(n, pitch) for n, pitch in enumerate((60.3, 60, 72, 47.5, 59.8))]
    assert_same(notes, rate)
    assert_same([a_note(7, 67, 1.1), a_note(8, 60, 1.1), a_note(9, 60.5, 1.1)], rate, 1.1)


def test_more_notes_than_a_bank_has_rows():
    notes = [a_note(n % 3, 60 + n / 10, 0.2) for n in range(MAX_ROWS + 3)]
    assert_same(notes, 16000, 0.2)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_loud_notes_are_limited_as_on_a_bus(rate):
    note = a_note(4, level=8.0)
    (sound,) = WholeNotes(rate).render([note], 2 * rate)
    assert 0.9 < np.abs(sound).max() <= 0.9851
    assert_same([note], rate, 2.0)


def test_an_envelope_of_ones_own():
    note = a_note(5)
    note.envelope = Envelope(attack=0.3, decay=0.4, sustain=0.3, release=1.0, curve=-4)
    note.off = 2.0
    assert_same([note], 48000, 3.5)
