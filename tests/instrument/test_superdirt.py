"""Notes as pairs: what the keys mean."""

import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server.errors import UserError
from gansynth_server.instrument.superdirt import DISTANCE, VARIATIONS, event, named_key
from gansynth_server.instrument.tuning import Tuning, read_scale
from gansynth_server.latent.slots import Slots
from gansynth_server.latent.vectors import draw, slerp
from gansynth_server.osc.schema import parse
from gansynth_server.osc.table import ROWS


class Player:
    """What an event needs of a client."""

    def __init__(self, tuning=None):
        self.tuning = tuning or Tuning()
        self.model = gs.load("all_instruments")
        self.latents = Slots(256)


@pytest.fixture(scope="module")
def player():
    return Player()


def of(player, *pairs):
    (checked,) = parse(ROWS["/dirt/play"], pairs)
    return event(checked, player)


def test_notes_count_from_middle_c(player):
    assert of(player).pitch == 60
    assert of(player, "note", 7.0).pitch == 67
    assert of(player, "note", -12, "octave", 6).pitch == 60
    assert of(player, "midinote", 62.5, "note", 3).pitch == 62.5
    assert of(player, "freq", 880.0, "midinote", 3).pitch == pytest.approx(81)
    assert of(player, "speed", 2, "note", 1).pitch == 73
    assert of(player, "speed", -0.5).pitch == 48


def test_notes_have_names_too(player):
    for name, key in (("c4", 60), ("eb3", 51), ("f#5", 78), ("A4", 69), ("bs-1", 12), ("g", 55)):
        assert named_key(name) == key
    # Strudel leaves the name in and adds the number
    assert of(player, "note", "c3", "midinote", 48).pitch == 48
    for wrong in ("h4", "", "c44", "c" * 400):
        with pytest.raises(UserError, match="c4"):
            of(player, "note", wrong)


def test_keys_are_tuned_and_frequencies_are_not():
    player = Player(Tuning(read_scale("quarter tones\n1\n50.0\n")))
    assert of(player, "note", 2).pitch == pytest.approx(61)
    assert of(player, "midinote", 64).pitch == pytest.approx(62)
    assert of(player, "freq", 440).pitch == pytest.approx(69)


def test_how_long_a_note_is_held(player):
    assert of(player).sustain is None
    assert of(player, "delta", 0.5).sustain == 0.5
    assert of(player, "delta", 0.5, "legato", 0.5).sustain == 0.25
    assert of(player, "legato", 0.5).sustain is None
    assert of(player, "delta", 0.5, "legato", 2, "sustain", 3).sustain == 3


def test_loudness_and_place(player):
    assert of(player, "gain", 0.5).expression["gain"] == pytest.approx(0.0625)
    assert of(player, "gain", 3).expression["gain"] == 16
    assert of(player, "pan", 0).expression["pan"] == -1
    assert of(player).expression["pan"] == 0
    assert of(player).velocity == 100
    assert of(player, "velocity", 0.5).velocity == 63.5
    assert of(player, "velocity", 64).velocity == 64


def test_notes_that_cut_each_other(player):
    def choke(*pairs):
        return of(player, "s", "violin", *pairs).expression.get("choke")

    assert choke() is None and choke("cut", 0) is None
    assert choke("cut", 1) == choke("cut", 1, "n", 3) != choke("cut", 2)
    assert choke("cut", 1, "orbit", 1) != choke("cut", 1)
    assert choke("cut", -1) != choke("cut", -1, "n", 3)
    assert choke("cut", -1) == choke("cut", -1, "note", 3)


def test_a_sound_is_a_preset_or_one_of_its_variations(player):
    presets = player.model.presets
    violin = presets["violin"]

    def latent(*pairs):
        return of(player, *pairs).sound.latent(presets, player.model.prior)

    assert np.array_equal(latent("s", "violin"), violin)
    assert np.array_equal(latent("sound", "violin"), violin)
    assert np.array_equal(latent("preset", "violin", "s", "x"), violin)
    third = slerp(violin, player.model.draw(3), DISTANCE)
    assert np.array_equal(latent("s", "violin", "n", 3.0), third)
    assert np.array_equal(latent("s", "violin:3"), third)
    assert np.array_equal(latent("s", "violin", "n", 3 + VARIATIONS), third)
    assert np.array_equal(latent("s", "violin", "n", 3 - VARIATIONS), third)
    assert of(player, "s", "violin:3").sound.slot == "violin:3"
    with pytest.raises(UserError, match="violin"):
        latent("s", "violinn")


def test_a_sound_may_be_a_slot(player):
    assert of(player).sound.slot == "z"
    assert of(player, "z", 3.0).sound.slot == "3"
    assert of(player, "s", "violin", "slot", "mine").sound.slot == "mine"
    player.latents.put("pad", player.latents.still(draw(256, 1), "still"), 0.0)
    assert of(player, "s", "pad").sound.slot == "pad"
    assert of(player, "s", "pad").sound.variation is None


@pytest.mark.parametrize(
    "pairs",
    [
        ("gain", "loud"),
        ("speed", 0),
        ("s", float("nan")),
        ("s", b"violin"),
        ("sustain", b"1"),
        ("sustain",),
        ("sustain", 1, "note"),
        (1, "sustain"),
    ],
)
def test_known_keys_must_have_good_values(player, pairs):
    with pytest.raises(UserError):
        of(player, *pairs)


def test_unknown_keys_are_ignored(player):
    wild = of(player, "_id_", "1", "cps", 0.5, "vowel", "a", "shape", True, "note", 2, "room", None)
    assert wild == of(player, "note", 2)


def checked(*pairs):
    return parse(ROWS["/play2"], pairs)[0]


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("gain", -0.5, 0.0),
        ("gain", 1e9, 128.0),
        ("velocity", 130, 127.0),
        ("velocity", -1, 0.0),
        ("midinote", 140, 127.0),
        ("midinote", -3, 0.0),
        ("note", 130, 128.0),
        ("octave", 120, 15.0),
        ("speed", 100, 64.0),
        ("speed", -100.0, -64.0),
        ("sustain", -1, 0.0),
        ("legato", -1, 0.0),
        ("delta", -0.1, 0.0),
        ("cut", 0.6, 1),
        ("cut", 1.4, 1),
        ("orbit", -1, 0),
        ("pan", -0.3, 0.0),
        ("pan", 1.5, 1.0),
        ("freq", 3, 8.0),
        ("freq", 40000, 12544.0),
        ("attack", 100, 60.0),
        ("brightness", -99, -24.0),
        ("bend", float("inf"), 48.0),
        ("n", 1e30, 2.0**24),
    ],
)
def test_numbers_out_of_range_are_taken_as_the_nearest(key, value, taken):
    found = checked("s", "violin", key, value)
    assert found[key] == taken
    assert list(found.remarks) == [key]
    assert repr(value) in found.remarks[key] and "is taken" in found.remarks[key]


def test_what_is_within_range_is_not_remarked_on():
    found = checked("gain", 1, "pan", 0.5, "note", "c4", "cut", 1.0, "velocity", True, "s", "x")
    assert found.remarks == {} and found["velocity"] == 1.0


def test_other_kinds_of_values():
    assert checked("s", 808)["s"] == "808" and checked("s", 808.0)["s"] == "808"
    assert checked("gain", "0.5", "cut", "2") == {"gain": 0.5, "cut": 2}
    assert checked("gain", None, "pan", 1, None) == {"pan": 1.0}
    found = checked("sustain", float("nan"), "pan", 1)
    assert found == {"pan": 1.0} and "left out" in found.remarks["sustain"]
    assert checked("gain", True, "pan", False) == {"gain": 1.0, "pan": 0.0}
    assert checked("id", "7") == {"id": 7} and checked(None) == {}


def test_keys_beyond_all_are_the_nearest(player):
    assert of(player, "note", 130).pitch == 127
    assert of(player, "note", 0, "octave", 12).pitch == 127
    assert of(player, "note", -128).pitch == 0
    assert of(player, "midinote", 140).pitch == 127
    assert of(player, "midinote", 120, "speed", 100).pitch == 127
    assert of(player, "freq", 8, "speed", 0.001).pitch == 0
