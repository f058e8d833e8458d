import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from gansynth_server.osc.codec import (
    MAX_ARGS,
    MAX_ATOMS,
    MAX_DEPTH,
    MAX_MESSAGES,
    Message,
    OscError,
    decode,
    encode,
    encode_block,
    encode_bundle,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ADDRESS = TEXT.map("/".__add__)
INT32 = st.integers(-(2**31), 2**31 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
SENT = st.lists(INT32 | FLOAT32 | TEXT | st.binary(max_size=20), max_size=40)
UNIX_TIME = st.floats(0, 2**32 - 2208988801)  # a time tag ends in 2036


def pack(*parts: bytes | str) -> bytes:
    """Strings padded to a multiple of 4, bytes as they are."""
    texts = (part if isinstance(part, bytes) else part.encode() + b"\0" for part in parts)
    return b"".join(text + bytes(-len(text) % 4) for text in texts)


def bundle(*elements: bytes, time_tag: int = 1) -> bytes:
    sized = (struct.pack(">i", len(element)) + element for element in elements)
    return b"#bundle\0" + struct.pack(">Q", time_tag) + b"".join(sized)


def nested(depth: int) -> bytes:
    packet = encode("/a")
    for _ in range(depth):
        packet = bundle(packet)
    return packet


def only(datagram: bytes) -> Message:
    [(time, message)] = decode(datagram)
    assert time is None
    return message


def oracle(address: str, *args: tuple[str, object]) -> bytes:
    builder = OscMessageBuilder(address)
    for tag, value in args:
        builder.add_arg(value, tag)
    return builder.build().dgram


# decoding


@pytest.mark.parametrize(
    ("tag", "data", "arg"),
    [
        ("i", struct.pack(">i", -7), -7),
        ("f", struct.pack(">f", 0.5), 0.5),
        ("s", pack("timbre"), "timbre"),
        ("s", pack("Flöte"), "Flöte"),
        ("s", bytes(4), ""),
        ("S", pack("symbol"), "symbol"),
        ("b", struct.pack(">i", 5) + b"\1\2\3\4\5\0\0\0", b"\1\2\3\4\5"),
        ("b", bytes(4), b""),
        ("h", struct.pack(">q", -(2**40)), -(2**40)),
        ("d", struct.pack(">d", 0.1), 0.1),
        ("t", struct.pack(">II", 2208988800 + 10, 2**31), 10.5),
        ("t", struct.pack(">Q", 1), None),
        ("c", b"\0\0\0A", "A"),
        ("r", b"\xff\x80\x00\x01", 0xFF800001),
        ("m", b"\x00\x90\x3c\x7f", b"\x00\x90\x3c\x7f"),
        ("T", b"", True),
        ("F", b"", False),
        ("N", b"", None),
        ("I", b"", math.inf),
    ],
)
def test_every_type_tag(tag: str, data: bytes, arg: object):
    before_and_after = struct.pack(">i", 1), struct.pack(">i", 2)
    datagram = pack("/a", f",i{tag}i") + before_and_after[0] + data + before_and_after[1]
    args = only(datagram).args
    assert args == (1, arg, 2)
    assert type(args[1]) is type(arg)


def test_the_two_messages_of_the_specification():
    assert only(b"/oscillator/4/frequency\0,f\0\0\x43\xdc\0\0") == Message(
        "/oscillator/4/frequency", (440.0,)
    )
    args = only(
        b"/foo\0\0\0\0,iisff\0\0\0\0\3\xe8\xff\xff\xff\xffhello\0\0\0"
        b"\x3f\x9d\xf3\xb6\x40\xb5\xb2\x2d"
    ).args
    assert args[:3] == (1000, -1, "hello")
    assert args[3:] == pytest.approx((1.234, 5.678))


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 512])
def test_runs_of_floats(count: int):
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    args = only(encode("/z/set", "a", values, 3, values)).args
    assert args == ("a", *values.tolist(), 3, *values.tolist())
    assert {type(arg) for arg in args} <= {str, float, int}


def test_nan_and_infinity_pass():
    nan, *infinities = only(encode("/a", math.nan, math.inf, -math.inf)).args
    assert math.isnan(nan)
    assert infinities == [math.inf, -math.inf]


def test_no_type_tag_string_means_no_arguments():
    assert only(pack("/status")) == Message("/status", ())


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "0 bytes"),
        (b"/a\0", "3 bytes"),
        (b"/abc", "closing null"),
        (pack("a", ","), "'a' does not begin with '/'"),
        (bytes(4), "does not begin"),
        (pack("/\udcff".encode(errors="surrogateescape") + b"\0", ","), "UTF-8"),
        (pack("/a", "f", bytes(4)), "without a type tag"),
        (pack("/a") + b",fff", "closing null"),
        (pack("/a", ",i"), "ends before its last argument"),
        (pack("/a", ",ff", bytes(4)), "ends before its last argument"),
        (pack("/a", ",b"), "ends before its last argument"),
        (pack("/a", ",b", struct.pack(">i", -1)), "blob of -1 bytes"),
        (pack("/a", ",b", struct.pack(">i", 5), bytes(4)), "blob of 5 bytes where 4"),
        (pack("/a", ",s", b"abcd"), "closing null"),
        (pack("/a", ",s", b"\xff\0\0\0"), "UTF-8"),
        (pack("/a", ",c", b"\0\0\1\0"), "not ASCII"),
        (pack("/a", ",c", bytes(4)), "not ASCII"),
        (pack("/a", ",x", bytes(4)), "'x' is not supported"),
        (pack("/a", ",i", bytes(4), b"\0\0\0\1\0\0\0\1"), "8 bytes follow"),
        (b"#bundle\0", "without a time tag"),
        (bundle() + struct.pack(">i", 8) + bytes(4), "element of 8 bytes where 4"),
        (bundle() + struct.pack(">i", -4) + bytes(4), "element of -4 bytes"),
        (bundle(encode("/a"), pack("b", ",")), "'b' does not begin"),
    ],
)
def test_malformed(datagram: bytes, reason: str):
    with pytest.raises(OscError, match=reason):
        decode(datagram)


def test_limits():
    floats = pack("/a", "," + "f" * MAX_ARGS, bytes(4 * MAX_ARGS))
    assert only(floats).args == (0.0,) * MAX_ARGS
    assert only(pack("/a", "," + "N" * MAX_ATOMS)).args == (None,) * MAX_ATOMS
    assert len(decode(bundle(*[encode("/a")] * MAX_MESSAGES))) == MAX_MESSAGES
    assert only(nested(MAX_DEPTH)) == Message("/a", ())
    with pytest.raises(OscError, match="arguments"):
        decode(pack("/a", "," + "N" * (MAX_ARGS + 1)))
    half = pack("/a", ",N" + "F" * (MAX_ATOMS // 2))
    with pytest.raises(OscError, match="other kinds"):
        decode(bundle(half, half))
    with pytest.raises(OscError, match="messages"):
        decode(bundle(bundle(encode("/a")), *[encode("/a")] * MAX_MESSAGES))
    for depth in MAX_DEPTH + 1, 500:
        with pytest.raises(OscError, match="nested"):
            decode(nested(depth))


def test_what_an_error_says_is_short_however_long_the_address():
    with pytest.raises(OscError) as error:
        decode(pack("/" + "a" * 60000, ",x"))
    assert len(str(error.value)) < 200


# time tags


@pytest.mark.parametrize(
    ("time_tag", "time"),
    [(0, None), (1, None), (2208988800 << 32, 0.0), ((2208988801 << 32) + 2**30, 1.25)],
)
def test_time_tags(time_tag: int, time: float | None):
    packet = bundle(encode("/a"), encode("/b"), time_tag=time_tag)
    assert decode(packet) == [(time, Message("/a", ())), (time, Message("/b", ()))]


def test_an_enclosed_bundle_is_never_due_before_the_enclosing_one():
    a = encode("/a")
    for enclosing, enclosed, due in [
        (None, 5.0, 5.0),
        (5.0, 6.0, 6.0),
        (5.0, 4.0, 5.0),
        (5.0, None, 5.0),
        (None, None, None),
    ]:
        packet = encode_bundle(enclosing, a, encode_bundle(enclosed, a), a)
        assert [time for time, _ in decode(packet)] == [enclosing, due, enclosing]


@given(UNIX_TIME)
def test_time_round_trip_is_within_half_a_microsecond(time: float):
    [(decoded, _)] = decode(encode_bundle(time, encode("/a")))
    assert decoded == pytest.approx(time, rel=0, abs=5e-7)


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, -3e9, 2.1e9, 1e308])
def test_times_that_no_time_tag_holds(time: float):
    with pytest.raises(OscError, match="1900"):
        encode_bundle(time, encode("/a"))


# encoding


@given(ADDRESS, SENT)
def test_round_trip(address: str, args: list[object]):
    assert only(encode(address, *args)) == Message(address, tuple(args))


@given(st.none() | UNIX_TIME.map(round), st.lists(st.tuples(ADDRESS, SENT), max_size=5))
def test_bundle_round_trip(time: float | None, messages: list[tuple[str, list[object]]]):
    packet = encode_bundle(time, *(encode(address, *args) for address, args in messages))
    assert decode(packet) == [(time, Message(address, tuple(args))) for address, args in messages]


@pytest.mark.parametrize(
    ("arg", "tag", "received"),
    [
        (True, "i", 1),
        (np.bool_(False), "i", 0),
        (2**31 - 1, "i", 2**31 - 1),
        (np.int64(-(2**31)), "i", -(2**31)),
        (2**31, "f", 2.0**31),
        (np.uint64(2**63), "f", 2.0**63),
        pytest.param(-(10**400), "f", -math.inf, id="beyond float64"),
        (-1e300, "f", -math.inf),
        (np.float32(0.1), "f", float(np.float32(0.1))),
        (np.float64(0.5), "f", 0.5),
        ("note\udcff", "s", "note?"),
        (b"", "b", b""),
    ],
)
def test_only_the_types_that_pd_reads_leave(arg: object, tag: str, received: object):
    datagram = encode("/a", arg)
    assert datagram.startswith(b"/a\0\0," + tag.encode() + b"\0\0")
    assert only(datagram).args == (received,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint64, bool, ">f4"])
def test_arrays_are_sent_as_floats(dtype: type):
    values = np.array([0, 1, 1, 0, 1], dtype)[::2]
    assert encode("/a", values) == encode("/a", *map(float, values))


def test_array_elements_beyond_float32_become_infinity():
    assert only(encode("/a", np.array([1e300, -1e300]))).args == (math.inf, -math.inf)


@pytest.mark.parametrize(
    "arg",
    [None, [1.0], {}, 1j, "a\0b", np.zeros((2, 2)), np.float32(1)[...], np.array(["a"]), object()],
)
def test_what_cannot_be_sent(arg: object):
    with pytest.raises(OscError):
        encode("/a", arg)


@pytest.mark.parametrize("address", ["", "a", "/a\0b"])
def test_addresses_that_cannot_be_sent(address: str):
    with pytest.raises(OscError):
        encode(address)


@pytest.mark.parametrize("count", [0, 1, 64, 512])
def test_a_block_is_a_message_of_floats(count: int):
    samples = np.random.default_rng(count).normal(size=count).astype(np.float32)
    expected = encode("/b", 3.0, 64.0, *samples.tolist())
    assert encode_block("/b", (3, 64), samples) == expected
    assert encode_block("/b", (3, 64), np.repeat(samples, 2)[::2]) == expected


# python-osc as an independent witness


@given(TEXT.map("/".__add__), SENT)
def test_python_osc_reads_what_we_write(address: str, args: list[object]):
    message = OscMessage(encode(address, *args))
    assert message.address == address
    assert message.params == args


ORACLE_ARG = st.one_of(
    st.tuples(st.just("i"), INT32),
    st.tuples(st.just("h"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("f"), FLOAT32),
    st.tuples(st.just("d"), st.floats(allow_nan=False)),
    st.tuples(st.just("s"), TEXT),
    st.tuples(st.just("b"), st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("r"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("m"), st.tuples(*[st.integers(0, 255)] * 4)),
    st.sampled_from([("T", True), ("F", False), ("N", None)]),
)


@given(ADDRESS, st.lists(ORACLE_ARG, max_size=40))
def test_we_read_what_python_osc_writes(address: str, args: list[tuple[str, object]]):
    expected = (bytes(value) if tag == "m" else value for tag, value in args)
    assert only(oracle(address, *args)) == Message(address, tuple(expected))


def test_python_osc_reads_our_bundle():
    inner = encode_bundle(1e9 + 0.25, encode("/b", 2))
    read = OscBundle(encode_bundle(1e9, encode("/a", 1), inner))
    assert read.timestamp == pytest.approx(1e9, abs=1e-6)
    assert read.content(0).params == [1]
    assert read.content(1).timestamp == pytest.approx(1e9 + 0.25, abs=1e-6)
    assert read.content(1).content(0).address == "/b"


def test_we_read_the_bundle_of_python_osc():
    inner = OscBundleBuilder(1e9 + 0.25)
    inner.add_content(OscMessage(oracle("/b", ("d", 0.1))))
    outer = OscBundleBuilder(1e9)
    outer.add_content(OscMessage(oracle("/a", ("s", "x"))))
    outer.add_content(inner.build())
    times, messages = zip(*decode(outer.build().dgram), strict=True)
    assert times == pytest.approx((1e9, 1e9 + 0.25), abs=1e-6)
    assert messages == (Message("/a", ("x",)), Message("/b", (0.1,)))


# whatever arrives


def decode_or_osc_error(datagram: bytes) -> bool:
    try:
        decode(datagram)
    except OscError:
        return False
    return True


TAGS = st.text("ifsSbhdtTFNIcrm[]x", max_size=8).map(",".__add__)


@given(st.binary(max_size=200))
def test_random_bytes(datagram: bytes):
    decode_or_osc_error(datagram)
    decode_or_osc_error(datagram[: len(datagram) // 4 * 4])


@given(TAGS, st.binary(max_size=64))
def test_random_arguments(tags: str, data: bytes):
    decode_or_osc_error(pack("/a", tags, data))
    decode_or_osc_error(bundle(pack("/a", tags, data), data))


def test_mutated_datagrams():
    rng = random.Random(1)
    seeds = [
        encode("/note", 60, 100.0, "a", b"\1\2\3"),
        encode("/z/set", "slot", np.linspace(-1, 1, 20)),
        encode_bundle(1e9, encode("/a", 1), encode_bundle(None, encode("/b", "text"))),
        oracle("/c", ("h", 1), ("d", 0.5), ("T", True), ("m", (0, 144, 60, 127)), ("s", "x")),
    ]
    outcomes = set()
    for _ in range(5000):
        datagram = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            datagram[rng.randrange(len(datagram))] = rng.choice([0, 1, 4, 255, rng.randrange(256)])
        outcomes.add(decode_or_osc_error(bytes(datagram)))
        decode_or_osc_error(bytes(datagram[: rng.randrange(0, len(datagram) + 1, 4)]))
    assert outcomes == {True, False}
