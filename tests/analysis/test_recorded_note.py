"""Recorded notes: what is heard in them."""

import numpy as np
import pytest

from gansynth_server import UserError
from gansynth_server.analysis.recorded_note import read
from tests.support.sounds import file_of, harmonic_tone

PITCHES = tuple(range(24, 85))


@pytest.mark.parametrize(("name", "given"), [("horn.wav", 57), ("horn_A3.wav", None)])
def test_the_pitch_is_the_one_given_or_that_of_the_name(name, given):
    quiet = np.concatenate([np.zeros(5000, np.float32), 0.1 * harmonic_tone(57)])
    recorded = read(file_of(quiet), name, PITCHES, given)
    assert recorded.pitch == 57 and not recorded.heard
    assert recorded.wave.shape == (64000,)
    assert np.abs(recorded.wave).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(recorded.wave[:200]).max() > 0.01  # it begins at once


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 47999])
def test_the_pitch_is_heard_at_any_rate(rate):
    recorded = read(file_of(harmonic_tone(62, rate=rate), rate), "horn.wav", PITCHES)
    assert recorded.pitch == 62 and recorded.heard


def test_of_several_notes_the_first_that_can_be_played_is_taken():
    low, rest = harmonic_tone(20, 1.0), np.zeros(8000, np.float32)
    sound = np.concatenate([low, rest, harmonic_tone(66, 1.0), rest, harmonic_tone(70, 1.0)])
    assert read(file_of(sound), "melody.wav", PITCHES).pitch == 66


def test_a_long_file_is_not_read_to_its_end():
    sound = np.concatenate(
        [harmonic_tone(60), np.zeros(100 * 16000, np.float32), harmonic_tone(62)]
    )
    assert read(file_of(sound, format="FLAC"), "long.flac", PITCHES).pitch == 60


@pytest.mark.parametrize(
    ("sound", "name", "pitch", "said"),
    [
        (b"RIFF nothing", "a.wav", 60, "a.wav cannot be read as sound"),
        (b"", "a.wav", 60, "cannot be read"),
        (file_of(np.zeros(8000)), "a.wav", 60, "a.wav is silent"),
        (file_of(harmonic_tone(60)), "a.wav", 20, "24 to 84, not 20"),
        (file_of(harmonic_tone(18, 1.0)), "a.wav", None, "no note from 24 to 84"),
        (file_of(harmonic_tone(60), 500), "a.wav", 60, "500 samples a second"),
    ],
)
def test_what_is_no_note_is_told(sound, name, pitch, said):
    with pytest.raises(UserError, match=said):
        read(sound, name, PITCHES, pitch)
