"""Hallucinations as sequences of latents, and their files."""

import json

import numpy as np
import pytest

from gansynth_server import UserError
from gansynth_server.latent import sequence as sequences
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.sequence import Sequence, SequencePath
from gansynth_server.latent.vectors import draw, slerp

KEYS = sequences.random_keys(3, Prior(32), 5)


def test_notes_go_from_key_to_key_along_the_sphere():
    plain = Sequence(KEYS, steps=3)
    assert len(plain) == 3 + 2 * 3
    for note, key in ((0, 0), (4, 1), (8, 2)):
        assert np.array_equal(plain.latent(note), KEYS[key])
    assert np.allclose(plain.latent(5), slerp(KEYS[1], KEYS[2], 0.25))
    assert np.array_equal(plain.latent(-1), KEYS[0])
    assert np.array_equal(plain.latent(99), KEYS[2])
    assert len(Sequence(KEYS, steps=0)) == 3 and len(Sequence(KEYS[:1], steps=9)) == 1
    assert plain.seconds == 8 * plain.spacing + plain.length


@pytest.mark.parametrize("start", [0.0, 12345.678, 9e5 + 1 / 3])
def test_the_path_is_where_each_note_is_at_its_time(start):
    plain = Sequence(KEYS, steps=6, spacing=0.1)
    path = SequencePath(plain, start)
    for note in range(len(plain)):
        assert np.array_equal(path.at(start + note * 0.1), plain.latent(note))
    assert np.allclose(path.at(start + 0.25), plain.latent(2.5), atol=1e-5)


CHANGED = Sequence(KEYS, 2, 0.3, 0.5, 0.1, 0.2, 0.3, 90.0, (60.0, 62.5))


def test_a_file_gives_back_what_was_saved():
    data = sequences.encode(CHANGED, "net")
    back = sequences.decode("a.json", data, Prior(32), {}.__getitem__)
    assert np.array_equal(back.keys, KEYS)
    for name in ("steps", "spacing", "trim", "attack", "sustain", "release", "velocity", "pitches"):
        assert getattr(back, name) == getattr(CHANGED, name)
    assert json.loads(data)["checkpoint"] == "net"


def test_a_file_may_be_written_by_hand():
    z = draw(32, 9)
    content = {"keys": [{"seed": 4}, {"preset": "bell"}, {"latent": z.tolist()}], "pitches": [50]}
    found = sequences.decode(
        "a.json", json.dumps(content).encode(), Prior(32), {"bell": -z}.__getitem__
    )
    assert np.array_equal(found.keys, [draw(32, 4), -z, z])
    assert found.pitches == (50,) and found.steps == Sequence(KEYS).steps


GOOD = json.loads(sequences.encode(CHANGED, "net"))
BROKEN = [
    b"",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    *(
        json.dumps(GOOD | change).encode()
        for change in (
            {"keys": []},
            {"keys": [{}]},
            {"keys": [[0.0] * 32]},
            {"keys": [{"latent": [0.0] * 31}]},
            {"keys": [{"latent": [float("nan")] * 32}]},
            {"keys": [{"seed": -1}]},
            {"keys": [{"preset": 3}]},
            {"keys": [{"seed": 1}] * 65},
            {"steps": 1.5},
            {"steps": True},
            {"spacing": 0},
            {"spacing": float("inf")},
            {"attack": "slow"},
            {"attack": 4.0},
            {"spacing": 0.01},
            {"attack": 0, "sustain": 0, "release": 0},
            {"pitches": []},
            {"pitches": [128]},
            {"pitches": 60},
            {"velocity": 0},
        )
    ),
]


@pytest.mark.parametrize("data", BROKEN)
def test_broken_files_are_refused(data):
    with pytest.raises(UserError, match=r"a\.json"):
        sequences.decode("a.json", data, Prior(32), {}.__getitem__)
