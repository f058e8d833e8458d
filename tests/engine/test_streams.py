"""Streams that are pulled: which block is answered, and how a pull is read."""

import numpy as np
import pytest

from gansynth_server.engine.commands import OpenStream
from gansynth_server.engine.streams import RING, PullStream, read_pull
from gansynth_server.osc.codec import decode, encode
from gansynth_server.synth.bus import Bus
from tests.support.notes import note, spectrum

RATE, BLOCK = 48000, 512
SOURCE = ("127.0.0.1", 9001)


def stream(channels=1):
    made = PullStream(OpenStream(5, SOURCE, SOURCE, 0, BLOCK, 4), Bus(RATE, 4, channels=channels))
    made.bus.start(note(spectrum(0.05), hold=True, pan=0.5))
    return made


def answer(pulled, number):
    """The datagram for a block, and whether it was rendered for it."""
    known = pulled.known(number)
    if known is not None:
        return known, False
    return pulled.encode(number, pulled.bus.render(BLOCK)), True


def samples(datagram):
    return np.frombuffer(datagram[-4 * BLOCK :], ">f4")


def test_blocks_are_numbered_with_their_places_in_the_ring():
    pulled = stream()
    for number in range(RING + 2):
        datagram, new = answer(pulled, number)
        ((_, message),) = decode(datagram)
        assert new and message.address == "/b" and len(message.args) == 2 + BLOCK
        assert message.args[:2] == (number, number % RING * BLOCK)
    assert pulled.mark == (RING + 2, (RING + 2) * BLOCK)
    assert pulled.period == BLOCK / RATE and pulled.cushion == 4 * BLOCK / RATE


def test_stereo_is_two_messages_in_a_bundle():
    pulled, same = stream(2), stream(2)
    for number in range(40):
        datagram, _ = answer(pulled, number)
        sound = same.bus.render(BLOCK)
    left, right = (message for _, message in decode(datagram))
    assert (left.address, right.address) == ("/b", "/r")
    assert left.args[:2] == right.args[:2] == (39, 39 * BLOCK)
    assert np.array_equal(np.float32([left.args[2:], right.args[2:]]), sound)
    assert np.abs(sound[0]).max() < np.abs(sound[1]).max() > 1e-3


def test_a_block_that_is_asked_for_again_is_the_same_again():
    pulled = stream()
    sent = [answer(pulled, number)[0] for number in range(RING + 10)]
    time = pulled.bus.time
    for number in (RING + 9, RING + 3, 10 + RING // 2):
        assert answer(pulled, number) == (sent[number], False)
    assert pulled.bus.time == time


def test_a_jump_ahead_moves_on_by_one_block():
    pulled, whole = stream(), stream()
    for number in range(100):
        answer(pulled, number)
        answer(whole, number)
    datagram, new = answer(pulled, 1000)
    assert new and pulled.bus.time == 101 * BLOCK and pulled.mark == (1001, pulled.bus.time)
    # but for the fade it is what follows
    assert np.array_equal(samples(datagram)[240:], samples(answer(whole, 100)[0])[240:])


def test_a_past_block_that_was_never_sent_is_silence():
    pulled = stream()
    for number in [*range(30), 40]:
        answer(pulled, number)
    datagram, new = answer(pulled, 35)
    assert not new and not samples(datagram).any()
    ((_, message),) = decode(datagram)
    assert message.args[:2] == (35, 35 * BLOCK)


def test_a_listener_that_counts_from_the_beginning_again_gets_new_blocks():
    pulled = stream()
    for number in range(200):
        answer(pulled, number)
    for number in range(3):
        assert answer(pulled, number)[1]
    assert pulled.bus.time == 203 * BLOCK and pulled.mark == (3, pulled.bus.time)


def test_after_a_gap_the_sound_comes_back_with_a_ramp():
    streams = [stream() for _ in range(2)]
    for pulled in streams:
        for k in range(100):
            answer(pulled, k)
    whole, ramped = (samples(answer(s, k)[0]) for s, k in zip(streams, (100, 107), strict=True))
    assert ramped[0] == 0 and np.array_equal(ramped[240:], whole[240:])
    assert (np.abs(ramped[:240]) <= np.abs(whole[:240])).all() and np.abs(whole[:240]).max() > 1e-3
    following = [samples(answer(s, k)[0]) for s, k in zip(streams, (101, 108), strict=True)]
    assert np.array_equal(*following)


@pytest.mark.parametrize(
    ("args", "pull"),
    [
        ((7.0, 12345.0), (7, 12345)),
        ((7, 12345), (7, 12345)),
        ((0.0, 2.0**24 - 1), (0, 2**24 - 1)),
        ((7.9, 12345.0), (7, 12345)),
        ((-1.0, 12345.0), None),
        ((7.0,), None),
        ((7.0, 12345.0, 1.0), None),
        ((), None),
        ((float("nan"), 12345.0), None),
        ((7.0, float("inf")), None),
        (("7", 12345.0), None),
        ((b"7", 12345.0), None),
    ],
)
def test_pulls_are_read(args, pull):
    assert read_pull(encode("/stream/pull", *args)) == pull


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"/stream/pull",
        b"/stream/pull\0",
        b"/stream/pull\0\0\0\0,ff\0\0\0",
        encode("/stream/pulled", 7.0, 12345.0),
        encode("/stream/open", 48000, 512, 4),
        encode("/stream/pull", 7.0, 12345.0)[:-1],
        encode("/stream/pull", 7.0, "x" * 100),
        b"#bundle\0" + bytes(8),
    ],
)
def test_what_is_no_pull_is_none(datagram):
    assert read_pull(datagram) is None
