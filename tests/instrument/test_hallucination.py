"""The notes of a hallucination, and their sound."""

import threading

import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server.instrument.hallucination import AHEAD, SLOT, Hallucination
from gansynth_server.instrument.offline_player import render
from gansynth_server.latent import sequence as sequences
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.sequence import Sequence
from gansynth_server.spectral.constants import HOP, SAMPLE_RATE
from gansynth_server.synth.envelope import Envelope
from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


class Player:
    """Stands in for the instrument: writes down what it is asked to play."""

    def __init__(self):
        self.lock = threading.RLock()
        self.notes = []

    def time(self, when):
        return when

    def set_path(self, client, slot, path, when):
        self.path = path

    def play(self, client, pitch, velocity, id, slot, when, **expression):
        assert slot == SLOT
        self.notes.append((pitch, when, expression))


def test_few_notes_are_asked_for_at_a_time_and_each_well_before_its_own():
    player, over = Player(), []
    long = Sequence(
        sequences.random_keys(64, Prior(8), 0), 64, 0.1, 0.0, 0.1, 0.5, 0.2, 100, (60, 64, 67)
    )
    Hallucination(player, None, long, 1, 100.0, lambda: over.append(1)).begin()
    at_once = len(player.notes)
    assert at_once * 0.1 >= long.length + AHEAD and at_once < 20
    for ended in range(len(long)):
        assert not over
        _, when, expression = player.notes[ended]
        assert np.isclose(when, 100 + 0.1 * ended)
        assert np.isclose(expression["off"], when + 0.6)
        end = when + long.length
        expression["then"]()
        assert len(player.notes) == min(len(long), at_once + ended + 1)
        if len(player.notes) < len(long):
            assert player.notes[-1][1] - end >= AHEAD - 1e-6
    assert over == [1]
    assert [pitch for pitch, _, _ in player.notes[:4]] == [60, 64, 67, 60]


def test_its_sound_is_the_sum_of_its_notes(model):
    keys = sequences.random_keys(2, Prior(256), 3)
    plain = Sequence(keys, 2, 0.5, 0.0, 0.3, 0.2, 0.4, 30.0, (60, 67))
    sound = np.concatenate(list(render(model, plain, SAMPLE_RATE)), axis=1)
    assert np.array_equal(sound[0], sound[1])
    z = np.stack([plain.latent(n) for n in range(4)])
    waves = model.generate_batch(z, [60, 67, 60, 67])
    rise, stay, fall = (round(t * SAMPLE_RATE) for t in (0.3, 0.2, 0.4))
    envelope = np.concatenate([np.linspace(0, 1, rise), np.ones(stay), np.linspace(1, 0, fall)])
    expected = np.zeros(3 * 8000 + len(envelope))
    for n, wave in enumerate(waves):
        expected[n * 8000 : n * 8000 + len(envelope)] += wave[: len(envelope)] * envelope
    delay = np.argmax(np.correlate(sound[0], expected, "valid"))
    heard = sound[0, delay : delay + len(expected)]
    gain = heard @ expected / (expected @ expected)
    assert gain > 0.05
    assert np.abs(heard - gain * expected).max() < 1e-3 * np.abs(heard).max()
    assert not sound[0, delay + len(expected) :].any()


def test_trim_leaves_out_the_beginning_of_a_note(model):
    spectrum = model.backend.render(model.preset("violin")[None], np.array([36]))[0]

    def sound(skip):
        voices = Voices(SAMPLE_RATE, 1)
        envelope = Envelope(attack=0.0)
        voices.start(Note(0, 0, 60, 100, 60, skip=skip, spectrum=spectrum, envelope=envelope))
        return voices.render(5 * SAMPLE_RATE)[0]

    plain, trimmed = sound(0.0), sound(10 * HOP / SAMPLE_RATE)
    # the first frames overlap with none before them
    assert np.abs(trimmed[3 * HOP : 90 * HOP] - plain[13 * HOP : 100 * HOP]).max() < 1e-5
    assert np.abs(plain).max() > 0.05
    assert np.flatnonzero(trimmed)[-1] == np.flatnonzero(plain)[-1] - 10 * HOP
