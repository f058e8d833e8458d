"""MIDI files as people have them: what is there is played, and what is odd costs one line."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gansynth_server import UserError, cli
from gansynth_server.offline.midi_file import parse, read
from gansynth_server.offline.midi_remarks import MAX_LINES
from tests.support.golden_rule import FOLDER
from tests.support.midi_bytes import (
    END,
    chunk,
    control,
    event,
    header,
    meta,
    number,
    off,
    on,
    song,
    tempo,
    track,
)

PLAIN = track(on(0), off(500), on(500, 64), off(500, 64))
PLAIN_NOTES = [(60, 0.0, 0.5), (64, 1.0, 1.5)]
BY_480 = track(on(0), off(480), on(480, 64), off(480, 64))
LAST = track(on(0, 67), off(1000, 67))


def notes(data: bytes, **options: bool) -> list[tuple[int, float, float]]:
    """Pitch, start and end of each note, by its start."""
    found = [(n.pitch, round(n.start, 9), round(n.end, 9)) for n in parse(data, **options).notes]
    return sorted(found, key=lambda note: (note[1], note[0]))


def remarks(data: bytes) -> str:
    return "\n".join(parse(data).remarks)


def test_a_file_without_oddities_has_no_remarks():
    assert notes(song(PLAIN)) == PLAIN_NOTES
    assert parse(song(PLAIN)).remarks == ()
    assert read(FOLDER / "util.mid").remarks == ()


def riff(data: bytes, size: int | None = None) -> bytes:
    body = b"RMIDdata" + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
    body += b"LIST\4\0\0\0INFO"
    return b"RIFF" + (len(body) if size is None else size).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    "data",
    [
        riff(song(PLAIN)),
        riff(song(PLAIN), 0),
        riff(song(PLAIN), 0xFFFFFFFF),
        bytes(128) + song(PLAIN),  # MacBinary
        b"From: me\r\nMThd is how it begins\r\n\r\n" + song(PLAIN),
        b"\xef\xbb\xbf" + song(PLAIN),
    ],
)
def test_wrappings(data):
    assert notes(data) == PLAIN_NOTES
    said = parse(data).remarks
    assert len(said) == (0 if data.startswith(b"RIFF") else 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header() + chunk(b"XFIH", b"Yamaha's") + PLAIN, "XFIH"),
        (header() + chunk(b"XFIH", b"odd") + PLAIN + chunk(b"XFKM", b"more"), "XFKM"),
        (header() + chunk(b"\1\2\3\4", b"no name") + PLAIN, "skipped"),
        (header(tracks=1) + PLAIN + b"\0", "zero"),
        (header(tracks=2) + PLAIN + b"\0" + track(), "zeros stand behind"),
        (header(tracks=2) + track() + b"\0\0\0" + PLAIN, "zeros"),
        (header() + PLAIN + b"trailing junk", "13 bytes"),
        (header(more=b"more") + PLAIN, ""),
        (b"MThd" + (200).to_bytes(4, "big") + header()[8:] + PLAIN, "header's length"),
        (header(tracks=0) + PLAIN, ""),
        (header(tracks=65535) + PLAIN, ""),
        (BY_480, "no header"),
        (b"MThd\0\0\0\6\0\1" + BY_480, "cut off"),
        (song(PLAIN, format=77), "no format 77"),
        (song(PLAIN) + song(LAST), "second song"),
    ],
)
def test_chunks(data, words):
    assert notes(data) == PLAIN_NOTES
    assert words in remarks(data)
    assert len(parse(data).remarks) <= 2


@pytest.mark.parametrize("length", [0, 3, 9, 17, 40, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("place", ["only", "first", "last"])
def test_lengths_of_tracks(length, place):
    wrong = track(on(0), off(500), on(500, 64), off(500, 64), length=length)
    data = {
        "only": song(wrong),
        "first": song(wrong, LAST),
        "last": song(LAST, wrong),
    }[place]
    expected = PLAIN_NOTES + ([(67, 0.0, 1.0)] if place != "only" else [])
    assert notes(data) == sorted(expected, key=lambda note: (note[1], note[0]))
    assert "the track's length is wrong" in remarks(data)


@pytest.mark.parametrize("kept", range(1, 20))
def test_cut_off(kept):
    """Whatever is left is played, and one line says where it ends."""
    data = song(LAST, PLAIN)
    left = data[: len(data) - kept]
    found = notes(left)
    assert (67, 0.0, 1.0) in found and (60, 0.0, 0.5) in found
    assert "track 2, byte" in remarks(left)


def test_no_end_of_track():
    data = song(track(on(0), off(500), end=b""), LAST)
    assert notes(data) == [(60, 0.0, 0.5), (67, 0.0, 1.0)]
    (said,) = parse(data).remarks
    assert said.startswith("track 1, byte ") and "no end" in said


def test_events_behind_the_end_of_a_track():
    data = song(track(on(0), off(500), END, on(500, 64), off(500, 64)))
    assert notes(data) == PLAIN_NOTES
    assert "follow the end" in remarks(data)
    padded = song(track(on(0), off(500), end=END + bytes(50)), LAST)
    assert notes(padded) == [(60, 0.0, 0.5), (67, 0.0, 1.0)]
    assert parse(padded).remarks == ()


@pytest.mark.parametrize(
    "broken",
    [
        meta(0, 0x59, b"\xee\x00"),  # 18 flats
        meta(0, 0x59, b""),
        meta(0, 0x58, b""),
        meta(0, 0x58, b"\4\xff\0\0"),
        meta(0, 0x54, b"\1"),
        meta(0, 0x51, b"\7"),  # a short tempo
        meta(0, 0x51, b""),
        meta(0, 0x03, b"\xff\xfe no text"),
        meta(0, 0x7F, b"\0"),
        meta(0, 0x60, b"unknown"),
        meta(0, 0x00, b"\1\2\3\4"),
        meta(0, 0x20, b""),
        meta(0, 0x21, b""),
        tempo(0, 0),
        tempo(0, 1),
        event(0, 0xF4),
        event(0, 0xF5),
        event(0, 0xFD),
        event(0, 0xF8),
        event(0, 0xF6),
        event(0, 0xF1, 5),
        event(0, 0xF2, 5, 6),
        event(0, 0xF0) + number(3) + b"\x7e\x7f\xf7",
        event(0, 0xF0, 0x7E, 0x7F, 0xF7),  # without its length
        event(0, 0xF7) + number(2) + b"\1\2",
        event(0, 0xC0, 200),  # a data byte above 127
        control(0, 80, 5),
    ],
)
def test_events_that_notes_do_not_need(broken):
    data = song(track(broken, on(0), off(500), broken, on(500, 64), broken, off(500, 64)))
    assert notes(data) == PLAIN_NOTES
    assert len(parse(data).remarks) <= 1


def test_data_without_a_status_is_skipped():
    data = song(track(event(0, 5), event(0, 6), on(0), off(500), on(500, 64), off(500, 64)))
    assert notes(data) == PLAIN_NOTES
    assert "without a status" in remarks(data)


def test_running_status_goes_on_over_exclusive_and_meta():
    exclusive = event(0, 0xF0) + number(2) + b"\x7e\xf7"
    data = song(track(on(0), event(500, 60, 0), exclusive, event(500, 64, 100), off(500, 64)))
    assert notes(data) == PLAIN_NOTES
    data = song(track(on(0), meta(0, 1, b"x"), event(500, 60, 0)))
    assert notes(data) == [(60, 0.0, 0.5)]


@pytest.mark.parametrize("power", [28, 35, 57, 64, 70, 1000])
def test_absurd_times(power):
    """Notes before them are played, and other tracks go on."""
    late = number(2**power) + bytes([0x90, 72, 100])
    data = song(track(on(0), off(500), on(0, 62), late, off(500, 72)), LAST)
    begun = time.perf_counter()
    found = notes(data)
    assert time.perf_counter() - begun < 1
    # the note that the absurd time would end ends by the rule for hanging ones
    assert found == [(60, 0.0, 0.5), (67, 0.0, 1.0), (62, 0.5, 1.0)]
    assert "what follows is left out" in remarks(data)


def test_numbers_padded_to_more_bytes_than_the_format_has_are_read():
    data = song(track(on(0), b"\x80\x80\x80\x80\x83\x74" + off(0)[1:]))
    assert notes(data) == [(60, 0.0, 0.5)]


def test_an_end_of_track_much_later_does_not_count():
    data = song(track(on(0), off(500), on(0, 62), end=number(81 * 60_000) + END[1:]))
    assert notes(data) == [(60, 0.0, 0.5), (62, 0.5, 4.5)]


def test_hanging_notes_end():
    hanging = track(on(0), on(1000, 64), off(60_000, 64))
    assert notes(song(hanging)) == [(60, 0.0, 4.0), (64, 1.0, 61.0)]
    assert "never ended" in remarks(song(hanging)) and "track 1, byte 23" in remarks(song(hanging))
    assert notes(song(track(on(0), on(1000, 64)))) == [(60, 0.0, 1.0), (64, 1.0, 1.5)]


def test_tempo_changes_in_any_track():
    data = song(track(on(0), off(1000)), track(tempo(500, 1_000_000)))
    assert notes(data) == [(60, 0.0, 1.5)]
    assert notes(song(track(tempo(0, 250_000), on(0), off(1000)))) == [(60, 0.0, 0.5)]


def test_division():
    assert notes(song(track(on(0), off(480)), division=0)) == [(60, 0.0, 0.5)]
    assert "480" in remarks(song(PLAIN, division=0))
    frames = [(24, 24), (25, 25), (30, 30), (29, 30000 / 1001)]
    for code, rate in frames:
        data = song(track(tempo(0, 1000), on(0), off(400)), division=(256 - code) << 8 | 40)
        assert notes(data)[0][2] == pytest.approx(10 / rate)
    assert notes(song(PLAIN, division=(256 - 25) << 8))[0][2] == pytest.approx(20)
    assert "SMPTE" in remarks(song(PLAIN, division=(256 - 17) << 8 | 40))


def test_patterns_of_format_2_follow_each_other():
    assert notes(song(PLAIN, format=2)) == PLAIN_NOTES
    data = song(PLAIN, track(tempo(0, 1_000_000), on(0, 67), off(500, 67)), format=2)
    assert notes(data) == [*PLAIN_NOTES, (67, 1.5, 2.5)]
    assert "patterns" in remarks(data)


def test_a_pattern_ends_with_its_last_control():
    data = song(
        track(on(0), off(500), control(500, 7, 9)), track(on(0, 67), off(500, 67)), format=2
    )
    assert notes(data) == [(60, 0.0, 0.5), (67, 1.0, 1.5)]


@pytest.mark.parametrize("controller", [120, 123, 124, 125, 126, 127])
def test_controllers_that_end_notes(controller):
    data = song(track(on(0), on(0, 64), on(0, 67, channel=1), control(250, controller, 0)))
    assert notes(data) == [(60, 0.0, 0.25), (64, 0.0, 0.25), (67, 0.0, 0.5)]


def test_sound_off_cuts_and_reaches_all_tracks_of_the_channel():
    data = song(track(on(0)), track(control(250, 120, 0), on(250)))
    assert [n.cut for n in parse(data).notes] == [True, False]
    assert notes(data)[0] == (60, 0.0, 0.25)


@pytest.mark.parametrize(("value", "ends"), [(127, 1.0), (64, 1.0), (63, 0.5), (0, 0.5)])
def test_the_sustain_pedal_holds(value, ends):
    down, up = control(0, 64, value), control(500, 64, 0)
    assert notes(song(track(down, on(0), off(500), up))) == [(60, 0.0, ends)]
    # in another track of the same channel, and not in one of another
    assert notes(song(track(on(0), off(500)), track(down, control(1000, 64, 0))))[0][2] == ends
    other = track(control(0, 64, value, 1), control(1000, 64, 0, 1))
    assert notes(song(track(on(0), off(500)), other))[0][2] == 0.5


def test_pedals_and_what_ends_them():
    held = control(0, 64, 127), on(0), off(500)
    struck = song(track(*held, on(500), off(500), control(500, 64, 0)))
    assert notes(struck) == [(60, 0.0, 1.0), (60, 1.0, 2.0)]
    assert notes(song(track(*held, control(250, 121, 0))))[0][2] == 0.75
    assert notes(song(track(*held, control(250, 120, 0))))[0][2] == 0.75
    # "all notes off" lets keys go, which the pedal holds
    off_, up = control(250, 123, 0), control(750, 64, 0)
    assert notes(song(track(control(0, 64, 127), on(0), off_, up)))[0][2] == 1.0
    # one that never comes up
    assert notes(song(track(*held, on(9500, 64), off(1, 64))))[0] == (60, 0.0, 4.5)
    # sostenuto holds what was down when it came, and nothing else
    sostenuto = track(on(0), control(100, 66, 127), on(0, 64), off(100), off(0, 64))
    more = track(control(1000, 66, 0))
    assert notes(song(sostenuto, more)) == [(60, 0.0, 1.0), (64, 0.1, 0.2)]


def test_two_notes_of_one_key_first_in_first_out():
    data = song(track(on(0, 60, 10), on(100, 60, 20), off(100), off(100)))
    assert notes(data) == [(60, 0.0, 0.2), (60, 0.1, 0.3)]
    assert notes(data, magenta=True) == [(60, 0.0, 0.2), (60, 0.1, 0.2)]
    # on the tick of the first one's end
    data = song(track(on(0), on(100), off(0), off(100)))
    assert notes(data) == [(60, 0.0, 0.1), (60, 0.1, 0.2)]
    assert "no length" in remarks(song(track(on(0), off(0), *[on(0), off(1)])))


def test_programs():
    shared = song(track(event(0, 0xC3, 40)), track(on(0, channel=3), off(1, channel=3)))
    assert [n.program for n in parse(shared).notes] == [40] and parse(shared).programs
    own = song(
        track(event(0, 0xC0, 40), on(0), off(1)),
        track(event(0, 0xC0, 73), on(0, 72), off(1, 72)),
    )
    assert {n.pitch: n.program for n in parse(own).notes} == {60: 40, 72: 73}
    later = song(track(on(0), event(1, 0xC0, 7), on(0, 72), off(1), off(0, 72)))
    assert {n.pitch: n.program for n in parse(later).notes} == {60: 0, 72: 7}
    assert not parse(song(PLAIN)).programs


def test_many_oddities_are_a_few_lines():
    said = parse(song(track(*[event(0, 0xF4)] * 1000, on(0), off(1)))).remarks
    assert said == ("track 1, byte 23: status F4 is none of a file's; it is skipped "
                    "(and 999 more like it)",)  # fmt: skip
    said = parse(song(*[track(on(0), off(1), end=b"")] * 500)).remarks
    assert len(said) == MAX_LINES + 1 and "more oddities" in said[-1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello", "no MIDI header"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"PK\3\4....", "zip"),
        (b"\x1f\x8b....", "gzip"),
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV"),
        (b"MThd\0\0\0\6\0\1\0\1", "too early"),
        (header(), "too early"),
    ],
)
def test_what_is_no_midi_file_is_named(data, words, tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(data)
    with pytest.raises(UserError, match=words) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_no_notes_says_why(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(song(track(number(2**60) + on(0)[1:])))
    with pytest.raises(UserError, match="holds no notes: track 1, byte 22"):
        read(path)
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_the_command_line_tells_the_oddities(tmp_path, capsys):
    path = tmp_path / "a.mid"
    path.write_bytes(song(track(on(0), off(100), end=b"")))
    cli.main(["render", str(path), "-o", str(tmp_path / "a.wav"), "--rate", "16000"])
    told = capsys.readouterr().err.splitlines()
    assert told == [f"{path}, track 1, byte 30: the track has no end; what is there is played"]


# whatever the bytes are

PIECES = st.one_of(
    st.builds(on, st.integers(0, 2000), st.integers(0, 127), st.integers(0, 127)),
    st.builds(off, st.integers(0, 2000), st.integers(0, 127)),
    st.builds(control, st.integers(0, 500), st.integers(0, 127), st.integers(0, 127)),
    st.builds(meta, st.integers(0, 9), st.integers(0, 127), st.binary(max_size=9)),
    st.builds(tempo, st.integers(0, 9), st.integers(0, 2**24 - 1)),
    st.builds(lambda power: number(2**power) + b"\x90\x40\x40", st.integers(0, 80)),
    st.binary(max_size=12),
    st.builds(event, st.integers(0, 500), *[st.integers(0, 255)] * 3),
)
TRACKS = st.builds(
    lambda events, length, end: track(*events, length=length, end=end),
    st.lists(PIECES, max_size=40),
    st.none() | st.integers(0, 2**32 - 1) | st.integers(0, 99),
    st.sampled_from([END, b"", END + bytes(9), b"\xff"]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file whose every part may be odd, then a few bytes changed, left out or put in."""
    tracks = draw(st.lists(TRACKS | st.binary(max_size=20), max_size=5))
    division = draw(st.integers(0, 65535) | st.sampled_from([0, 1, 480, 0xE728]))
    data = bytearray(header(draw(st.integers(0, 3)), len(tracks), division) + b"".join(tracks))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 5))
        data[at : at + cut] = draw(st.binary(max_size=5))
    return bytes(data)


FLOOR = 1 << 20
"""Bytes that reading takes for a file of any size."""


def read_within_bounds(data: bytes) -> None:
    tracemalloc.start()
    begun, said = time.perf_counter(), ""
    try:
        for magenta in (False, True):
            found = parse(data, magenta=magenta)
            last = -1.0
            for note in found.notes:
                assert 0 <= note.start < note.end < float("inf")
                assert 0 <= note.pitch <= 127 and 1 <= note.velocity <= 127
            for one in found.controls:
                assert one.time >= last
                last = one.time
            assert len(found.remarks) <= MAX_LINES + 1
            assert all("\n" not in line for line in found.remarks)
    except UserError as error:
        said = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "\n" not in said
    assert peak < 10 * len(data) + FLOOR
    assert time.perf_counter() - begun < 2


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_mutated_files(data):
    read_within_bounds(data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_real_file_with_bytes_changed(data):
    whole = bytearray((FOLDER / "util.mid").read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
        whole[at] = data.draw(st.integers(0, 255))
    read_within_bounds(bytes(whole))


@pytest.mark.parametrize(
    "body",
    [
        b"\0\x90" + b"\x3c\x40\0" * 200_000,  # notes that never end
        b"\0\x90" + b"\x3c\x40\1\x3c\0\0" * 100_000,
        b"\0\xb0" + b"\x40\x7f\0\x40\0\0" * 100_000,  # a pedal
        on(0) * 1000 + b"\0\xb0" + b"\x40\x7f\0\x40\0\0" * 100_000,
        b"\0\xd0" + b"\x40\0" * 300_000,
        b"\xff" * 600_000,
        bytes(600_000),
        END * 150_000,
        b"\0\xff\x51\3\7\xa1\x20" * 80_000,
        b"MTrk\0\0\0\0" * 70_000,
    ],
    ids=lambda body: body[:12].hex(),
)
def test_large_files_cost_no_more(body):
    tracemalloc.start()
    begun = time.perf_counter()
    parse(header() + chunk(b"MTrk", body))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(body) + FLOOR
    assert time.perf_counter() - begun < 60  # traced, which takes several times as long
