"""Loudness, brightness and strokes of lines."""

import numpy as np
import pytest

from gansynth_server.analysis import line_features

RATE = 16000
AT = np.arange(RATE) / RATE


def test_levels_are_those_of_sines():
    sound = (0.5 * np.sin(2 * np.pi * 300 * AT)).astype(np.float32)
    levels = line_features.level(sound)
    assert len(levels) == line_features.frame_count(sound) == 201
    assert np.abs(levels[10:-10] - 20 * np.log10(0.5 / 2**0.5)).max() < 0.1
    assert line_features.level(np.zeros(100, np.float32)).max() <= -90


def test_brightness_is_octaves_above_the_note():
    partials = np.sin(2 * np.pi * 200 * AT) + np.sin(2 * np.pi * 1400 * AT)
    hertz = np.full(201, 200.0)
    hertz[:50] = np.nan
    found = line_features.brightness(partials.astype(np.float32), hertz)
    assert np.isnan(found[:50]).all()
    assert np.abs(found[80:-20] - 2).max() < 0.05  # 800 Hz is their centre


def test_strokes_are_bursts_without_pitch():
    rng = np.random.default_rng(0)
    sound = np.zeros(2 * RATE)
    for begin, low in ((0.3, 1), (0.8, 16), (1.3, 1)):
        hiss = rng.standard_normal(RATE // 10)
        hiss = np.convolve(hiss, np.ones(low) / low, "same")  # moving average: a lower centre
        first = round(begin * RATE)
        sound[first : first + RATE // 10] = 0.3 * hiss * np.linspace(1, 0, RATE // 10)
    hertz = np.full(line_features.frame_count(sound), np.nan)
    found = line_features.strokes(sound.astype(np.float32), hertz, -60)
    assert [stroke.seconds for stroke in found] == pytest.approx([0.3, 0.8, 1.3], abs=0.02)
    assert found[1].centroid < found[0].centroid / 2
    hertz[240:320] = 200.0  # the third has a pitch
    assert len(line_features.strokes(sound.astype(np.float32), hertz, -60)) == 2
