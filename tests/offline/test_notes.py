"""Notes in batches: the same samples as one by one."""

from itertools import count, islice

import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server.latent.vectors import draws
from gansynth_server.offline.notes import NoteRenderer, NoteRequest
from tests.support.tiny import Models

PITCHES = (60, 36.5, 72, 48.2, 84, 90, 61)
VELOCITIES = (100, 1, 127, 64, 90, 30, 77.5)


@pytest.fixture
def model(tiny: Models) -> gs.Model:
    return gs.load("all_instruments")


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_batched_equals_single(model, rate, batch):
    z = draws(256, range(len(PITCHES)))
    notes = model.generate_notes(z, PITCHES, VELOCITIES, 1.3, rate, batch)
    for note, latent, pitch, velocity in zip(notes, z, PITCHES, VELOCITIES, strict=True):
        single = model.generate(
            pitch, latent, duration=1.3, velocity=velocity, sample_rate=rate
        ).audio
        assert note.sample_rate == rate and note.audio.shape == single.shape
        assert np.abs(note.audio - single).max() <= 1e-5


def test_whole_notes_are_the_bundled_networks(tmp_path):
    model = gs.load("all_instruments_lite")
    z = draws(256, range(3))
    for note, latent, pitch in zip(
        model.generate_notes(z, (60, 36, 70.3)), z, (60, 36, 70.3), strict=True
    ):
        assert np.abs(note.audio - model.generate(pitch, latent).audio).max() <= 1e-5


def test_notes_come_as_they_are_asked_for(model):
    """No more than two batches are drawn ahead, so an endless row takes no memory."""
    drawn = count()

    def endless():
        for seed in drawn:
            yield NoteRequest(draws(256, [seed])[0], 60)

    sounds = list(islice(NoteRenderer(model, 0.1, batch=2).render(endless()), 5))
    assert len(sounds) == 5 and next(drawn) <= 12


@pytest.mark.parametrize(
    ("pitches", "velocities", "rest"),
    [
        ((60, 200), None, {}),
        ((60,), None, {}),
        ((60, 60), (1, 128), {}),
        ((60, 60), (1,), {}),
        ((60, 60), None, {"duration": 5}),
        ((60, 60), None, {"sample_rate": 8000}),
    ],
)
def test_values_out_of_range(model, pitches, velocities, rest):
    with pytest.raises(gs.UserError):
        list(model.generate_notes(draws(256, [1, 2]), pitches, velocities, **rest))
