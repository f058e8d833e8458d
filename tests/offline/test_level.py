"""The level of a song: its true peak, and sound that waits in a file until it is known."""

import numpy as np
import pytest

from gansynth_server.errors import UserError
from gansynth_server.offline import level


def noise(channels, frames, seed=0):
    return np.random.default_rng(seed).uniform(-0.1, 0.1, (channels, frames)).astype(np.float32)


def true_peak(sound):
    peak = level.TruePeak(len(sound))
    peak.add(sound)
    return peak.end()


def test_a_peak_between_the_samples_counts():
    between = np.sin(np.pi / 2 * np.arange(4000) + np.pi / 4)[None].astype(np.float32)
    assert true_peak(between) > 1.3 * np.abs(between).max()  # √2 but for its edges


@pytest.mark.parametrize("size", [1, 50, 1000, 7000])
def test_blocks_make_no_difference_to_the_peak(size):
    sound = noise(2, 7000)
    peak = level.TruePeak(2)
    for at in range(0, 7000, size):
        peak.add(sound[:, at : at + size])
    assert peak.end() == pytest.approx(true_peak(sound), rel=1e-6)


def test_normalised_is_the_same_sound_at_another_level(tmp_path):
    sound = noise(2, 600_000)
    blocks = [sound[:, :5], sound[:, 5:100_000], sound[:, 100_000:]]
    louder = np.concatenate(list(level.normalised(blocks, tmp_path)), axis=1)
    assert 20 * np.log10(true_peak(louder)) == pytest.approx(-1, abs=1e-4)
    assert np.allclose(louder, sound * (louder[0, 0] / sound[0, 0]), rtol=1e-5)
    assert not list(tmp_path.iterdir())  # what it waited in is gone


def test_silence_stays_silent(tmp_path):
    (silent,) = level.normalised([np.zeros((1, 100), np.float32)], tmp_path)
    assert silent.shape == (1, 100) and not silent.any()
    assert not list(level.normalised([], tmp_path))


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(UserError, match=r"cannot write to .*nowhere"):
        list(level.normalised([noise(1, 10)], tmp_path / "nowhere"))
