"""Streams that are pulled."""

import numpy as np

from gansynth_server.net.streams import PullStream
from gansynth_server.synth.bus import Bus
from tests.support.notes import note, spectrum

RATE = 48000


def answer(stream, number):
    return stream.encode(number, stream.bus.render(stream.block))


def test_after_a_gap_the_sound_comes_back_with_a_ramp():
    streams = [PullStream(Bus(RATE, 4), 512, 4) for _ in range(2)]
    for stream in streams:
        stream.bus.start(note(spectrum(0.05)))
        for k in range(100):
            answer(stream, k)
    whole, ramped = (
        np.frombuffer(answer(s, k)[-4 * 512 :], ">f4")
        for s, k in zip(streams, (100, 107), strict=True)
    )
    assert ramped[0] == 0 and np.array_equal(ramped[240:], whole[240:])
    assert (np.abs(ramped[:240]) <= np.abs(whole[:240])).all() and np.abs(whole[:240]).max() > 1e-3
