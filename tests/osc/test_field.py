"""What tablets, pattern languages and other programs send, and what it means here."""

from __future__ import annotations

import contextlib
import math
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Message, OscError, Refused, decode, encode, encode_bundle
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.nearest import suggestion
from gansynth_server.osc.schema import ButtonReleasedError, parse
from gansynth_server.osc.table import ROWS, TABLE

BANG = math.inf
"""What I is decoded as."""


def pad(data: bytes) -> bytes:
    return data + bytes(4 - len(data) % 4)


def packet(address: bytes, tags: bytes, *data: bytes) -> bytes:
    return pad(address) + pad(tags) + b"".join(data)


def only(datagram: bytes) -> Message:
    ((_, message),) = decode(datagram)
    return message


def one(number: float) -> bytes:
    return struct.pack(">f", number)


# framing


@pytest.mark.parametrize("zeros", [4, 8, 12, 400])
def test_zeros_behind_the_end(zeros):
    behind = bytes(zeros)
    assert only(encode("/note", 60, 100) + behind).args == (60, 100)
    assert only(
        packet(b"/note", b",fsb", one(60), pad(b"x"), b"\0\0\0\1a\0\0\0") + behind
    ).args == (*(60.0, "x", b"a"),)
    assert only(pad(b"/status") + behind) == Message("/status", ())
    assert only(pad(b"/status") + pad(b",") + behind) == Message("/status", ())
    found = decode(encode_bundle(None, encode("/a"), encode("/b")) + behind)
    assert [message.address for _, message in found] == ["/a", "/b"]


@pytest.mark.parametrize("zeros", [4, 8, 32])
def test_padding_that_is_too_long(zeros):
    after_address = pad(b"/note") + bytes(zeros) + pad(b",ff") + one(60) + one(100)
    assert only(after_address).args == (60.0, 100.0)
    after_tags = pad(b"/note") + pad(b",ff") + bytes(zeros) + one(60) + one(100)
    assert only(after_tags).args == (60.0, 100.0)
    after_text = pad(b"/z/freeze") + pad(b",s") + pad(b"z") + bytes(zeros)
    assert only(after_text).args == ("z",)


def test_what_could_mean_two_things_is_refused():
    for data in (
        packet(b"/a", b",i", bytes(4), b"\0\0\0\1\0\0\0\2"),
        packet(b"/a", b",s", pad(b"x"), b"\0\0\0\1"),
        pad(b"/a") + b"\0\0\0\1",  # arguments without type tags
        packet(b"/a", b",i", bytes(4 + 400), b"\0\0\0\1"),
    ):
        with pytest.raises(OscError):
            decode(data)


def test_empty_elements_of_bundles():
    empty = bytes(4)
    bundle = encode_bundle(None) + empty + encode_bundle(None, encode("/a"))[16:] + empty
    assert [message.address for _, message in decode(bundle)] == ["/a"]
    assert decode(encode_bundle(None)) == [] and decode(encode_bundle(None) + empty) == []


@pytest.mark.parametrize(
    ("tags", "args"),
    [
        (b",[ff]", (1.0, 2.0)),
        (b",f[f]", (1.0, 2.0)),
        (b",[[f][[]]f]", (1.0, 2.0)),
        (b",[]ff", (1.0, 2.0)),
        (b",[TfFfN]", (True, 1.0, False, 2.0, None)),
    ],
)
def test_what_is_inside_of_brackets_counts(tags, args):
    assert only(packet(b"/a", tags, one(1), one(2))).args == args


def raw_bundle(*elements: bytes) -> bytes:
    sized = (struct.pack(">i", len(element)) + element for element in elements)
    return encode_bundle(None) + b"".join(sized)


def test_one_bad_message_leaves_the_others():
    bad = [
        (packet(b"/b", b",x", bytes(4)), "/b", "'x' is not supported"),
        (packet(b"/b", b",s", b"\xff\0\0\0"), "/b", "UTF-8"),
        (packet(b"/b", b",i"), "/b", "ends before"),
        (packet(b"b", b","), "osc", "does not begin"),
        (b"\xff\xfe\xfd\xfc", "osc", "closing null"),
    ]
    for data, address, why in bad:
        found: list[Refused] = []
        messages = decode(raw_bundle(encode("/a"), data, encode("/c")), bad=found)
        assert [message.address for _, message in messages] == ["/a", "/c"]
        assert [one.address for one in found] == [address] and why in found[0].why
        # in a bundle within
        found.clear()
        inner = raw_bundle(encode("/d"), data)
        messages = decode(raw_bundle(encode("/a"), inner, encode("/c")), bad=found)
        assert [message.address for _, message in messages] == ["/a", "/d", "/c"]
        assert len(found) == 1
        with pytest.raises(OscError):
            decode(raw_bundle(encode("/a"), data))


def test_a_bundle_that_is_cut_off_gives_what_is_whole():
    whole = raw_bundle(encode("/a"), encode("/b"), encode("/c", "words"))
    found: list[Refused] = []
    messages = decode(whole[:-4], bad=found)
    assert [message.address for _, message in messages] == ["/a", "/b"]
    assert len(found) == 1 and "are left" in found[0].why


def test_a_packet_beyond_the_limits_is_refused_as_a_whole():
    for data in (
        raw_bundle(*[encode("/a")] * 2000),
        raw_bundle(encode("/a"), packet(b"/b", b"," + b"N" * 5000)),
    ):
        with pytest.raises(OscError):
            decode(data, bad=[])


def dispatched(message: Message) -> tuple[list[str], list[tuple[str, str]]]:
    """The addresses that were handled, and what failed."""
    handled: list[str] = []
    failed: list[tuple[str, str]] = []
    dispatch(message, lambda row, _: handled.append(row.address), lambda *why: failed.append(why))
    return handled, failed


# values


def args_of(address: str, *values: object) -> list[object]:
    return parse(ROWS[address], values)


def test_true_and_false_are_numbers():
    assert args_of("/hold", True) == [1] and args_of("/hold", False) == [0]
    assert args_of("/note", True, True) == [1.0, 1.0, None, "z"]
    assert args_of("/note/off", True) == [1] and type(args_of("/note/off", True)[0]) is int
    assert args_of("/note/gain", 60, True) == [60, 1.0, 0.0]
    assert args_of("/tuning", "a4", True) == ["a4", 1.0]
    assert args_of("/z/random", "z", True) == ["z", 1, 1.0]


@pytest.mark.parametrize("values", [(True,) * 256, (0.0,) * 255 + (True,), (False,) * 256])
def test_but_no_latent(values):
    with pytest.raises(UserError, match="must be numbers"):
        args_of("/z/set", "z", *values)


def test_nothing_is_what_is_left_out():
    assert args_of("/z/random", None, 5) == ["z", 5, 1.0]
    assert args_of("/z/random", "z", None, 0.5) == ["z", None, 0.5]
    assert args_of("/note", 60, 100, None, "z") == [60.0, 100.0, None, "z"]
    assert args_of("/note", 60, 100, None, None, None) == [60.0, 100.0, None, "z"]
    assert args_of("/hold", None) == [1] and args_of("/status", None, None) == []
    with pytest.raises(UserError, match="velocity is missing"):
        args_of("/note", 60, None)


def test_a_bang_is_a_message_without_arguments():
    assert args_of("/hold", BANG) == [1] and args_of("/status", BANG) == []
    assert args_of("/z/random", BANG) == ["z", None, 1.0]
    assert args_of("/hallucinate/play", BANG) == []
    with pytest.raises(UserError, match="is missing"):
        args_of("/note", BANG)
    with pytest.raises(UserError, match="finite"):
        args_of("/note", 60, BANG)


WITHOUT_ARGUMENTS = [row.address for row in TABLE if not row.args]


@pytest.mark.parametrize("address", WITHOUT_ARGUMENTS)
def test_a_buttons_value(address):
    for pressed in (1.0, 1, True, 0.3, -1, 127):
        assert args_of(address, pressed) == []
    for released in (0.0, 0, False, -0.0):
        with pytest.raises(ButtonReleasedError):
            args_of(address, released)
    for wrong in (("x",), (1, 1), (1.0, 0.0), (b"\0",), (float("nan"),)):
        with pytest.raises(UserError, match="too many arguments") as error:
            args_of(address, *wrong)
        assert not isinstance(error.value, ButtonReleasedError)


def test_a_buttons_value_behind_arguments():
    assert args_of("/z/preset", "z", "violin", 1.0) == ["z", "violin"]
    with pytest.raises(ButtonReleasedError):
        args_of("/z/preset", "z", "violin", 0.0)
    assert args_of("/note", 60, 100, 1, "z", 1) == [60.0, 100.0, 1, "z"]


def test_a_number_alone_is_no_slot():
    for address in ("/z/random", "/z/walk"):
        assert args_of(address, 1.0)[0] == "z" and args_of(address, True)[0] == "z"
        with pytest.raises(ButtonReleasedError):
            args_of(address, 0.0)
        assert args_of(address, "1")[0] == "1" and args_of(address, "pad")[0] == "pad"
        assert args_of(address, 1.0, 5)[0] == "1"  # with more, it is one
        assert "button" in ROWS[address].help
    assert args_of("/z/freeze", 1.0) == ["1"]


@pytest.mark.parametrize(
    ("word", "id"),
    [
        *(("60", 60), ("60.0", 60), ("60.5", 60.5), ("-1", -1), ("007", 7), ("all", "all")),
        *(("midi 1 60", "midi 1 60"), ("1e3", "1e3"), ("inf", "inf"), ("nan", "nan")),
        *(("60 ", "60 "), ("٣", "٣"), ("0x10", "0x10"), ("9" * 300, None), ("1" * 16, "1" * 16)),
    ],
)
def test_ids_as_words(word, id):
    if id is None:
        with pytest.raises(UserError):
            args_of("/note/off", word)
        return
    assert args_of("/note/off", word) == [id]
    assert args_of("/note", 62, 100, word)[2] == id


# addresses


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/Note", "did you mean /note?"),
        ("//note", "did you mean /note?"),
        ("/note/", "did you mean /note?"),
        ("/NOTE/OFF/", "did you mean /note/off?"),
        ("/notes", "did you mean /note?"),
        ("/z/rnadom", "did you mean /z/random?"),
        ("/noteoff", "did you mean /note/off?"),
        ("/allnoteoff", "did you mean /allnotesoff?"),
        ("/gansynth/note", "did you mean /note?"),
        ("/stauts", "did you mean /status?"),
        ("/note 60 100", "values go behind the address, not into it: /note with the arguments 60"),
        ("/note/off 60", "/note/off with the argument 60"),
        ("/note/60", "/note with the argument 60"),
        ("/note/60/100", "/note with the arguments 60 100"),
        ("/z/random z 5", "/z/random with the arguments z 5"),
        ("/", "no such message; /help lists them all"),
        ("/xyzzy/qqq", "no such message; /help lists them all"),
        ("/ ", "no such message; /help lists them all"),
    ],
)
def test_the_nearest_name(address, words):
    failed = []
    dispatch(Message(address, (60, 100)), lambda *_: None, lambda *why: failed.append(why))
    ((told, why),) = failed
    assert told == address and words in why and "\n" not in why


def test_every_name_is_nearest_to_itself_in_other_clothes():
    for row in TABLE:
        for dressed in (row.address.upper(), row.address + "/", "/" + row.address):
            assert f"did you mean {row.address}?" in suggestion(dressed, ROWS)


def test_a_suggestion_takes_no_time():
    suggestion("/warm", ROWS)
    begun = time.perf_counter()
    for n in range(1000):
        suggestion(f"/{n}/" + "ab" * 30000, ROWS)
    assert time.perf_counter() - begun < 2


def test_a_pattern_that_fits_nothing():
    failed = []
    dispatch(Message("/note*z", ()), lambda *_: None, lambda *why: failed.append(why))
    assert failed == [("/note*z", "no message fits this pattern; /help lists them all")]


def test_a_button_let_go_is_no_failure():
    told = []
    for address in ("/allsoundoff", "/alln*"):
        dispatch(
            Message(address, (0.0,)), lambda *args: told.append(args), lambda *w: told.append(w)
        )
    assert told == []
    dispatch(
        Message("/allsoundoff", (1.0,)), lambda row, args: told.append((row.address, args)), print
    )
    assert told == [("/allsoundoff", [])]


# whatever the bytes are

TAGS = st.text("ifsbhtdSccrmTFNI[]x", max_size=12).map(lambda tags: "," + tags)
ATOMS = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.floats(width=32).map(lambda number: struct.pack(">f", number)),
    st.integers(-(2**31), 2**31 - 1).map(lambda number: struct.pack(">i", number)),
    st.text(max_size=9).map(lambda text: pad(text.encode())),
    st.just(bytes(4)),
)
ADDRESSES = st.one_of(
    st.sampled_from([row.address for row in TABLE]),
    st.text(max_size=20).map("/".__add__),
    st.sampled_from(["/*", "/note*", "/{note,z}/*", "//note", "/Note", "/note 60 100", "/note/"]),
)


@st.composite
def packets(draw: st.DrawFn, depth: int = 0) -> bytes:
    """A message or a bundle, of which a few bytes may be changed, left out or put in."""
    if depth < 3 and draw(st.integers(0, 3)) == 0:
        parts = draw(st.lists(packets(depth + 1), max_size=4))
        time_tag = draw(st.sampled_from([0, 1, 2**64 - 1]) | st.integers(0, 2**64 - 1))
        data = b"#bundle\0" + struct.pack(">Q", time_tag)
        data += b"".join(struct.pack(">i", len(part)) + part for part in parts)
    else:
        row = draw(st.sampled_from(TABLE))
        if draw(st.booleans()):
            data = encode(row.address, *row.example)
        else:
            address = draw(ADDRESSES).encode(errors="replace")
            data = packet(address, draw(TAGS).encode(), *draw(st.lists(ATOMS, max_size=6)))
    changed = bytearray(data)
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        at, cut = draw(st.integers(0, len(changed))), draw(st.sampled_from([0, 1, 4]))
        changed[at : at + cut] = draw(st.binary(max_size=4))
    return bytes(changed)


@settings(max_examples=500, deadline=None)
@given(packets())
def test_mutated_packets_end_in_messages_or_reasons(data):
    tracemalloc.start()
    begun, bad = time.perf_counter(), []
    try:
        messages = decode(data, bad=bad)
    except OscError as error:
        messages, why = [], str(error)
        bad.append(Refused("osc", why))
    for _, message in messages:
        _, failed = dispatched(message)
        assert len(failed) <= 1
        for _, why in failed:
            assert why and len(why) < 1000
            encode("/fail", message.address[:256], why)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(len(one.why) < 300 and "\n" not in one.why for one in bad)
    assert peak < 10 * len(data) + (1 << 20)
    assert time.perf_counter() - begun < 2


@settings(max_examples=300, deadline=None)
@given(packets())
def test_what_is_read_leniently_is_what_is_read_strictly(data):
    """Where a packet has nothing wrong, the two agree."""
    try:
        strict = decode(data)
    except OscError:
        return
    bad: list[Refused] = []
    assert repr(decode(data, bad=bad)) == repr(strict) and not bad


@given(st.binary(max_size=400))
def test_arbitrary_bytes(data):
    for start in (b"", b"/", b"#bundle\0"):
        with contextlib.suppress(OscError):
            decode(start + data, bad=[])


def test_a_latent_is_still_a_latent():
    z = np.arange(256, dtype=np.float32)
    assert np.array_equal(args_of("/z/set", "z", *z.tolist())[1], z)
    assert np.array_equal(args_of("/z/set", "z", z.astype(">f4").tobytes())[1], z)
