"""OSC in streams of bytes: both framings, however the bytes come."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server.net.osc_framing import (
    END,
    ESCAPE,
    MAX_PACKET,
    SizeFraming,
    SlipFraming,
    framing_of,
)
from gansynth_server.osc.codec import OscError, encode

PACKETS = st.lists(st.binary(min_size=1, max_size=60), max_size=8)
FRAMINGS = [SizeFraming, SlipFraming]


def cut(stream: bytes, seed: int) -> list[bytes]:
    """A stream in parts, as a network may deliver it."""
    rng, parts = random.Random(seed), []
    while stream:
        size = rng.choice([1, 1, 2, 3, 5, 50, 1000])
        parts.append(stream[:size])
        stream = stream[size:]
    return parts


@pytest.mark.parametrize("kind", FRAMINGS)
@given(PACKETS, st.integers(0, 1000))
def test_what_is_framed_comes_out_again(kind, packets, seed):
    stream = b"".join(kind().frame(packet) for packet in packets)
    reader = kind()
    found = [packet for part in cut(stream, seed) for packet in reader.feed(part)]
    assert found == packets


def test_bytes_that_mean_something_are_escaped():
    packet = bytes([END, ESCAPE, 0xDC, 0xDD, ESCAPE, END, 1])
    framed = SlipFraming().frame(packet)
    assert framed == bytes.fromhex("c0 dbdc dbdd dc dd dbdd dbdc 01 c0")
    assert list(SlipFraming().feed(framed)) == [packet]


def test_single_ended_slip_is_read_too():
    packet = encode("/note", 60, 100)
    reader = SlipFraming()
    assert list(reader.feed(packet + bytes([END]) + packet + bytes([END]))) == [packet] * 2


def test_the_first_byte_tells():
    packet = encode("/note", 60)
    assert isinstance(framing_of(SizeFraming().frame(packet)[0]), SizeFraming)
    assert isinstance(framing_of(SlipFraming().frame(packet)[0]), SlipFraming)
    for first in b"/#":
        assert isinstance(framing_of(first), SlipFraming)
    for first in b"GP\x16\x7f\xff":
        with pytest.raises(OscError, match="no OSC"):
            framing_of(first)


def test_empty_packets_are_none():
    assert list(SizeFraming().feed(bytes(12))) == []
    assert list(SlipFraming().feed(bytes([END] * 9))) == []


def test_packets_that_are_too_large_end_the_stream():
    with pytest.raises(OscError, match="at most 65536"):
        list(SizeFraming().feed((MAX_PACKET + 1).to_bytes(4, "big")))
    reader = SlipFraming()
    for _ in range(2):
        assert list(reader.feed(bytes([1]) * MAX_PACKET)) == []
    with pytest.raises(OscError, match="without an end"):
        list(reader.feed(bytes([1])))
    large = bytes([1]) * MAX_PACKET
    for kind in FRAMINGS:
        assert list(kind().feed(kind().frame(large))) == [large]


@given(st.binary(max_size=300), st.integers(0, 99))
def test_arbitrary_bytes(data, seed):
    for kind in FRAMINGS:
        reader = kind()
        try:
            for part in cut(data, seed):
                assert all(len(packet) <= 2 * MAX_PACKET for packet in reader.feed(part))
        except OscError:
            pass
