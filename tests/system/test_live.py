"""Expression over the wire: a real server, a pulled stream, and what is heard in it."""

import time

import numpy as np
import pytest

from tests.support.puller import BLOCK, RATE, Puller
from tests.support.sounds import pitch_of

pytestmark = pytest.mark.usefixtures("no_complaints")


@pytest.fixture
def ears(server):
    with Puller(server.port, channels=2) as puller:
        puller.send("/z/preset", "z", "clarinet")
        yield puller


def level(sound):
    return 20 * np.log10(np.sqrt((sound**2).mean()) + 1e-9)


def test_notes_lie_in_the_middle_until_they_are_panned(ears):
    ears.send("/note", 60, 100)
    ears.sync()
    middle = ears.hear(0.5)
    assert np.array_equal(middle[0], middle[1]) and np.abs(middle).max() > 0.01
    ears.send("/note/pan", 60, 1)
    ears.hear(0.1)
    right = ears.hear(0.5)
    assert np.abs(right[0]).max() < 1e-5 and level(right[1]) > level(middle[1]) - 6


def test_a_held_note_outlives_its_four_seconds_and_can_be_bent(ears):
    ears.send("/hold", 1)
    ears.send("/note", 60, 100, "drone")
    ears.sync()
    ears.hear(5)
    sound = ears.hear(2)[0]
    assert level(sound) > -60
    before = pitch_of(sound[:RATE], RATE)
    ears.send("/note/bend", "drone", 2, 50)
    ears.hear(0.1)
    after = pitch_of(ears.hear(1)[0], RATE)
    assert abs(1200 * np.log2(after / before) - 200) < 5
    ears.send("/note/glide", "drone", 55, 100)
    ears.send("/note/bend", "drone", 0)
    ears.hear(0.2)
    assert abs(1200 * np.log2(pitch_of(ears.hear(1)[0], RATE) / before) + 500) < 5
    ears.send("/note/off", "drone")
    ears.hear(0.4)
    assert not ears.hear(0.2).any()


def test_the_pedal_keeps_what_is_released(ears):
    ears.send("/hold", 1)
    ears.send("/pedal", 1)
    ears.send("/note", 60, 100)
    ears.sync()
    ears.hear(0.5)
    ears.send("/note", 60, 0)
    ears.hear(0.5)
    assert np.abs(ears.hear(0.2)).max() > 1e-3
    ears.send("/pedal", 0)
    ears.hear(0.5)
    assert not ears.hear(0.2).any()


def test_all_means_all(ears):
    ears.send("/hold", 1)
    for pitch in (60, 64, 67):
        ears.send("/note", pitch, 100)
    ears.sync()
    ears.hear(4)
    loud = level(ears.hear(1))
    ears.send("/note/gain", "all", 0.1, 50)
    ears.hear(0.1)
    assert abs(level(ears.hear(1)) - (loud - 20)) < 3
    ears.send("/allnotesoff")
    ears.hear(0.5)
    assert not ears.hear(0.2).any()


def test_pitches_out_of_range_sound_and_are_told_of_once(ears):
    for pitch in (100, 101, 12):
        ears.send("/note", pitch, 100)
    ears.send("/sync", 9)
    told = []
    while (reply := ears.receive())[0] != "/synced":
        told.append(reply)
    assert [reply[:2] for reply in told] == [("/warning", "/note")]
    assert "24 to 84" in told[0][2]
    assert np.abs(ears.hear(0.5)).max() > 1e-3


def test_a_followed_slot_moves_its_note_in_real_time(ears):
    ears.send("/hold", 1)
    ears.send("/z/follow", "z", 1)
    ears.send("/z/preset", "z", "whistle")
    ears.send("/note", 55, 100)
    ears.sync()

    def centroid(seconds):
        begun, sound = time.monotonic(), []
        while time.monotonic() - begun < seconds:  # at the listener's own pace
            sound.append(ears.hear(BLOCK / RATE)[0])
            time.sleep(max(0.0, begun + len(sound) * BLOCK / RATE - time.monotonic()))
        tail = np.concatenate(sound)[-16384:]
        power = np.abs(np.fft.rfft(tail * np.hanning(len(tail)))) ** 2
        return (power * np.fft.rfftfreq(len(tail), 1 / RATE)).sum() / power.sum()

    dull = centroid(4.0)
    ears.send("/z/preset", "z", "clarinet")
    assert centroid(1.5) > 1.5 * dull


@pytest.mark.parametrize(
    ("address", "args", "word"),
    [
        ("/pressure", ("colour", 1), "brightness"),
        ("/hold/region", (2, 1), "ends"),
        ("/hold/region", (2,), "both"),
        ("/note/bend", (60, 100), "60"),
        ("/note/morph", (60, "z", -1), "ms"),
        ("/envelope", (), "attack"),
    ],
)
def test_what_cannot_be_says_why(ears, address, args, word):
    ears.send("/note", 60, 100)
    reply = ears.ask(address, *args)
    assert reply[:2] == ("/fail", address) and word in reply[2]
