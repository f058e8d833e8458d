"""Tunings: known scales by their frequencies, Scala's formats by their rules."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server.errors import UserError
from gansynth_server.instrument.tuning import (
    EQUAL,
    Mapping,
    Scale,
    Tuning,
    read_mapping,
    read_scale,
)
from tests.support.scales import ALPHA, MAJOR, PYTHAGOREAN, WHITE_KEYS

NINETEEN = "19-tone equal temperament\n19\n" + "\n".join(
    f"{1200 * step / 19:.5f}" if step < 19 else "2/1" for step in range(1, 20)
)


def hertz(pitch: float) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def test_without_a_tuning_a_key_is_its_own_pitch():
    for key in (0, 24, 60, 60.5, 69, 127):
        assert Tuning()(key) == pytest.approx(key, abs=1e-9)


def test_concert_pitch_moves_every_key():
    assert hertz(Tuning(a4=432)(69)) == pytest.approx(432)
    assert hertz(Tuning(a4=442)(57)) == pytest.approx(221)


def test_pythagorean_fifths_are_pure():
    tuning = Tuning(read_scale(PYTHAGOREAN))
    assert tuning.scale.name == "12-tone Pythagorean scale"
    assert hertz(tuning(60)) == pytest.approx(261.6255653)
    assert hertz(tuning(67)) / hertz(tuning(60)) == pytest.approx(3 / 2)
    assert hertz(tuning(64)) / hertz(tuning(60)) == pytest.approx(81 / 64)
    assert hertz(tuning(48)) / hertz(tuning(60)) == pytest.approx(1 / 2)
    assert hertz(tuning(59)) / hertz(tuning(60)) == pytest.approx(243 / 256)


def test_nineteen_keys_make_an_octave():
    tuning = Tuning(read_scale(NINETEEN))
    assert tuning(79) - tuning(60) == pytest.approx(12)
    assert tuning(61) - tuning(60) == pytest.approx(12 / 19)
    assert tuning(59) - tuning(60) == pytest.approx(-12 / 19)


def test_carlos_alpha_has_no_octave():
    tuning = Tuning(read_scale(ALPHA))
    assert tuning(69) == pytest.approx(60 + 9 * 0.77965)
    assert hertz(tuning(69)) / hertz(tuning(60)) == pytest.approx(3 / 2, abs=3e-4)
    assert tuning(44) == pytest.approx(60 - 16 * 0.77965)


def test_a_mapping_of_the_white_keys():
    tuning = Tuning(read_scale(MAJOR), read_mapping(WHITE_KEYS))
    assert hertz(tuning(69)) == pytest.approx(440)
    # 69 is entry 10 of the map from 59: degree 6, 15/8 above the middle key
    assert hertz(tuning(59)) == pytest.approx(440 * 8 / 15)
    assert hertz(tuning(71)) == pytest.approx(440 * 16 / 15)  # the formal octave above 59
    assert hertz(tuning(60)) == pytest.approx(440 * 8 / 15 * 9 / 8)
    assert hertz(tuning(47)) == pytest.approx(440 * 4 / 15)
    for silent in (61, 63, 66, 68, 70, 58):
        with pytest.raises(UserError, match=f"key {silent} is silent"):
            tuning(silent)
    with pytest.raises(UserError, match="61"):
        tuning(60.5)  # half way to a key that has no pitch


def test_only_the_keys_of_a_range_are_retuned():
    mapping = read_mapping("0\n60\n71\n60\n60\n250.0\n0\n")
    tuning = Tuning(EQUAL, mapping)
    assert hertz(tuning(60)) == pytest.approx(250)
    assert tuning(59) == pytest.approx(59) and tuning(72) == pytest.approx(72)


def test_the_map_may_end_early_and_octave_0_is_the_highest_degree():
    mapping = read_mapping("4\n0\n127\n60\n60\n261.6255653\n0\n0\n2\n")
    assert mapping.degrees == (0, 2, None, None)
    tuning = Tuning(EQUAL, mapping)
    assert tuning(64) == pytest.approx(72, abs=1e-6)
    assert tuning(61) == pytest.approx(62, abs=1e-6)


def test_the_rules_of_scl():
    scale = read_scale(
        "! comment\r\n\r\n! the description is empty\r\n  5 \r\n!\r\n"
        "  100.0 cents, and 2/1\r\n 3/2  perfect. fifth\r\n\t5\r\n-5.0\r\n .5\r\nwhatever"
    )
    assert scale.name == "unnamed"
    assert scale.cents == pytest.approx((100, 701.955, 2786.3137, -5, 0.5))
    assert read_scale("none\n0\n").cents == ()
    assert Tuning(read_scale("none\n0\n"))(67) == pytest.approx(60)
    assert read_scale("caf\x85 at night\n1\n2/1").name == "caf\x85 at night"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ends before"),
        ("name\n", "ends before"),
        ("name\nmany\n2/1", "line 2"),
        ("name\n-1\n", "line 2"),
        ("name\n99999\n", "line 2"),
        ("name\n3\n9/8\n2/1\n", "promises 3 notes and has 2"),
        ("name\n1\n-3/2\n", "line 3"),
        ("name\n1\n3/0\n", "line 3"),
        ("name\n1\n0\n", "line 3"),
        ("name\n1\nfifth\n", "line 3"),
        ("name\n1\n" + "9" * 5000 + "\n", "line 3"),
        ("name\n1\n" + "9" * 400 + ".\n", "line 3"),
        *(
            (f"name\n2\n9/8\n{value}\n", "line 4")
            for value in (
                *("701,955", "3:2", "7\\12", "5/-4", "700cents", "5 /-4", "5/", "5/4.5", "1200.c"),
                *("100.0,", "3/2;", "1e3", "1.2e3", "2/1/1", "+3/2", "3/2\xa0", "3//2", "5\u00b0"),
            )
        ),
        ("name\n12notes\n", "line 2"),
        ("name\n1,\n2/1\n", "line 2"),
    ],
)
def test_a_bad_scl_names_its_line(text, words):
    with pytest.raises(UserError, match=words):
        read_scale(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the size of the map"),
        ("12\n0\n127\n60\n69\n", "the reference frequency"),
        ("12\n0\n127\nc4\n69\n440\n12\n", "line 4: the middle key"),
        ("12\n0\n127\n60\n69\nhigh\n12\n", "line 6: the reference frequency"),
        ("12\n0\n127\n60\n69\n0\n12\n", "line 6"),
        ("-2\n0\n127\n60\n69\n440\n12\n", "line 1"),
        ("2\n0\n127\n60\n60\n440\n12\n0\ny\n", "line 9"),
        ("2\n0\n127\n60\n60\n440\n12\n0\nxy\n", "line 9"),
        ("2\n0\n127\n60\n60\n440,0\n12\n0\nx\n", "line 6"),
        ("2\n0\n127\n60\n60\n440Hz\n12\n0\nx\n", "line 6"),
        ("2\n0\n127\n60,\n60\n440\n12\n0\nx\n", "line 4"),
    ],
)
def test_a_bad_kbm_names_its_line(text, words):
    with pytest.raises(UserError, match=words):
        read_mapping(text)


@pytest.mark.parametrize("behind", ["", " ", "\t", " , 2/1", "!", "!comment", " ! comment", "\tG"])
def test_what_may_stand_behind_a_value(behind):
    values = ("701.955", "3/2", "100.", "5", "3 / 2")
    text = "\n".join(["name", f"5{behind}", *(value + behind for value in values)])
    assert read_scale(text).cents == pytest.approx(
        (701.955, 701.955, 100, 2786.3137, 701.955), abs=1e-3
    )
    head = (f"{value}{behind}" for value in (2, 0, 127, 60, 69, "440.0", 0, 0, "x"))
    assert read_mapping("\n".join(head)).degrees == (0, None)


def test_a_reference_key_must_have_a_pitch():
    with pytest.raises(UserError, match="reference key 61"):
        Tuning(EQUAL, Mapping((0, None), reference=61))


def test_pitches_beyond_all_are_refused():
    with pytest.raises(UserError, match="beyond 0 to 127"):
        Tuning(Scale("wide", (1200.0,)))(80)


cents = st.floats(-2400, 4800, allow_nan=False).map(lambda value: round(value, 6))


@given(st.lists(cents, max_size=40), st.integers(0, 127))
def test_a_scale_written_is_the_scale_read(degrees, key):
    text = f"any\n{len(degrees)}\n" + "\n".join(f" {value:.6f} x" for value in degrees)
    scale = read_scale(text)
    assert scale.cents == pytest.approx(degrees)
    period = degrees[-1] if degrees else 0
    assert scale(key + len(degrees)) == pytest.approx(scale(key) + period, abs=1e-5)


@given(st.text(max_size=400))
def test_no_text_ends_in_anything_but_an_error_for_the_user(text):
    for read in (read_scale, read_mapping):
        with contextlib.suppress(UserError):
            read(text)


@given(
    st.integers(-400, 400).map(lambda n: 440 * 2 ** (n / 1200)),
    st.floats(1, 126, allow_nan=False),
)
def test_a_key_between_two_lies_between_their_pitches(a4, key):
    tuning = Tuning(read_scale(PYTHAGOREAN), a4=a4)
    try:
        low, high = tuning(math.floor(key)), tuning(math.ceil(key))
    except UserError:
        return
    assert low - 1e-9 <= tuning(key) <= high + 1e-9
