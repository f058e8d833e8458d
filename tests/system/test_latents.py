"""Latents over OSC: moving, mixed, saved and listed."""

import json

import numpy as np
import pytest

from gansynth_server.latent.paths import Walk
from gansynth_server.latent.vectors import mix, slerp
from tests.support.bundled import prior
from tests.support.client import Client, decode

pytestmark = pytest.mark.usefixtures("no_complaints")


def get(peer, slot):
    return np.float32(peer.ask("/z/get", slot)[2:])


def test_a_walk_over_osc_moves_until_it_is_frozen(peer):
    peer.send("/z/walk", "w", 20, 1, 5)
    first, second = get(peer, "w"), get(peer, "w")
    assert not np.array_equal(first, second)
    peer.send("/z/slerp", "copy", "w", "w", 0.5)  # a copy of a moving slot stays
    assert np.array_equal(get(peer, "copy"), get(peer, "copy"))
    peer.send("/z/freeze", "w")
    assert np.array_equal(get(peer, "w"), get(peer, "w"))
    peer.send("/z/walk", "w", 0, 1, 5)
    assert np.allclose(get(peer, "w"), Walk(prior(), 5, 0.0, 1.0, 0.0).at(0), atol=1e-6)


def test_an_lfo_over_osc(peer):
    for seed, slot in enumerate("ab"):
        peer.send("/z/random", slot, seed)
    a, b = get(peer, "a"), get(peer, "b")
    for shape in ("triangle", 1.0):
        peer.send("/z/lfo", "l", "a", "b", 0.0, shape, 0.25)
        assert np.allclose(get(peer, "l"), slerp(a, b, 0.5), atol=1e-5)
    for bad in ("round", 4.0, 0.5):
        assert peer.ask("/z/lfo", "l", "a", "b", 1.0, bad)[:2] == ("/fail", "/z/lfo")
    assert peer.ask("/z/lfo", "l", "a", "missing", 1.0)[:2] == ("/fail", "/z/lfo")


def test_a_mix_over_osc(peer):
    for seed, slot in enumerate("abcd"):
        peer.send("/z/random", slot, seed)
    corners = [get(peer, slot) for slot in "abcd"]
    weights = [0.25, 1.0, 0.0, 0.5]
    pairs = [part for pair in zip("abcd", weights, strict=True) for part in pair]
    peer.send("/z/mix", "m", *pairs)
    assert np.allclose(get(peer, "m"), mix(corners, weights), atol=1e-5)
    peer.send("/z/mix", "m", "a", 0, "b", 0)
    assert np.allclose(get(peer, "m"), mix(corners[:2], [1, 1]), atol=1e-5)
    assert peer.ask("/z/mix", "m", "a", 1, "b")[:2] == ("/fail", "/z/mix")


def test_what_is_saved_is_loaded_by_another_client(server, peer, root):
    peer.send("/z/preset", "lead", "violin")
    peer.send("/z/walk", "w", 0, 1, 5)
    other = Client(server.port)
    for name in ("set.json", "takes/set.npz"):
        assert peer.ask("/z/save", name) == ("/done", "/z/save", name, 3)
        assert other.ask("/z/load", name) == ("/done", "/z/load", name, 3)
        assert np.array_equal(get(other, "lead"), get(peer, "lead"))
        other.send("/z/random", "lead")
    origins = json.loads((root / "set.json").read_text())["from"]
    assert origins["lead"] == "preset violin" and origins["w"].startswith("walk speed 0")
    for address, name in (
        ("/z/save", "../out.json"),
        ("/z/save", "set.txt"),
        ("/z/load", "missing.json"),
        ("/z/load", "/etc/passwd.json"),
    ):
        assert other.ask(address, name)[:2] == ("/fail", address)
    other.close()


def test_the_list_tells_all_and_fits_a_datagram(peer):
    for n in range(100):
        peer.send("/z/random", f"slot {n} " + "x" * 100, n)
    found, names, skip, total = {}, [], 0, 1
    while skip < total:
        peer.send("/z/list", skip)
        datagram = peer.socket.recv(65536)
        assert len(datagram) < 8192
        _, total, slots, presets, *texts = decode(datagram)
        found |= dict(zip(texts[: 2 * slots : 2], texts[1 : 2 * slots : 2], strict=True))
        names += texts[2 * slots :]
        assert len(texts) == 2 * slots + presets
        skip += slots + presets
    assert len(found) == 101 and total == len(found) + len(names)
    assert found["slot 7 " + "x" * 100] == "random seed 7 spread 1"
    assert names == list(peer.ask("/checkpoint/info")[5:])
