"""Latents that move, as functions of time; latents in files; the messages about both."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage

from gansynth_server import UserError
from gansynth_server.latent import files
from gansynth_server.latent.paths import MOST_PARTS, SHAPES, Glide, Lfo, Walk, parts
from gansynth_server.latent.slots import Still
from gansynth_server.latent.vectors import draw, mix, slerp
from tests.server_fixture import Peer, ServerProcess

A, B, C = (draw(32, seed) for seed in (1, 2, 3))


def test_a_glide_leaves_and_arrives_exactly_and_gently():
    glide = Glide(Still(A), Still(B), start=10.0, seconds=2.0)
    for before in (-5.0, 9.9, 10.0):
        assert np.array_equal(glide.at(before), A)
    for after in (12.0, 12.1, 1e9):
        assert np.array_equal(glide.at(after), B)
    assert np.allclose(glide.at(11.0), slerp(A, B, 0.5))
    whole = np.linalg.norm(B - A)
    for edge in (10.001, 11.999):  # a thousandth of the time, a millionth of the way
        near = A if edge < 11 else B
        assert 0 < np.linalg.norm(glide.at(edge) - near) < 1e-5 * whole


def test_a_glide_without_time_is_a_jump():
    glide = Glide(Still(A), Still(B), start=1.0, seconds=0.0)
    assert np.array_equal(glide.at(0.999), A)
    assert np.array_equal(glide.at(1.0), B)


def test_glides_upon_glides_stay_small_and_go_on_without_a_jump():
    path = Still(A)
    for n in range(1000):
        start = n * 0.1
        after = Glide(path, Still((B, C)[n % 2]), start, 5.0)
        assert np.allclose(after.at(start), path.at(start), atol=1e-6)
        path = after
        assert parts(path) <= 2 * MOST_PARTS
    assert np.array_equal(path.at(200.0), C)
    assert np.array_equal(Glide(path, Still(A), 300.0, 1.0).at(300.0), C)


def test_a_walk_is_a_pure_function_of_time():
    walk, same = (Walk(32, 7, speed=2.0, spread=1.0, start=5.0) for _ in range(2))
    times = [5.0, 3605.3, 1e7, 5.0, 42.42, 3605.3]
    forth = [walk.at(t) for t in times]
    back = [same.at(t) for t in reversed(times)][::-1]
    assert np.array_equal(forth, back)
    assert np.array_equal(walk.at(-1e9), walk.at(5.0))
    assert not np.allclose(Walk(32, 8, 2.0, 1.0, 5.0).at(6.0), walk.at(6.0))
    later = Walk(32, 7, speed=2.0, spread=1.0, start=105.0)
    assert np.array_equal(later.at(105.25), walk.at(5.25))  # counted from its own start
    still = Walk(32, 7, speed=0.0, spread=1.0, start=5.0)
    assert np.array_equal(still.at(5.0), still.at(1e6))


@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.9, 17.3])
def test_a_walk_stays_at_the_prior_between_the_steps_too(place):
    z = np.concatenate([Walk(256, seed, 1.0, 1.5, 0.0).at(place) for seed in range(400)])
    assert abs(z.mean()) < 5 * 1.5 / len(z) ** 0.5
    assert abs(z.std() / 1.5 - 1) < 5 / (2 * len(z)) ** 0.5
    assert abs((z**4).mean() / z.var() ** 2 - 3) < 0.1  # as flat as a normal distribution


def test_a_walk_moves_on_without_kinks():
    walk = Walk(256, 3, speed=1.0, spread=1.0, start=0.0)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(walk.at(10.0), walk.at(10.1)) > 0.98
    assert abs(cosine(walk.at(10.0), walk.at(14.0))) < 0.25
    step = 1 / 64  # differences of binary fractions, so that rounding stays small
    z = np.stack([walk.at(8 + n * step).astype(np.float64) for n in range(8 * 64)])
    speeds, bends = np.diff(z, axis=0) / step, np.diff(z, 2, axis=0) / step**2
    assert np.abs(np.diff(speeds, axis=0)).max() < 0.15 * np.abs(speeds).max()
    assert np.abs(np.diff(bends, axis=0)).max() < 0.25 * np.abs(bends).max()


@pytest.mark.parametrize(
    ("shape", "amounts"),
    [
        ("sine", (0, 0.5, 1, 0.5)),
        ("triangle", (0, 0.5, 1, 0.5)),
        ("square", (0, 0, 1, 1)),
        ("saw", (0, 0.25, 0.5, 0.75)),
    ],
)
def test_an_lfo_goes_to_and_fro(shape, amounts):
    lfo = Lfo(Still(A), Still(B), shape, rate=0.5, phase=0.0, start=3.0)
    ahead = Lfo(Still(A), Still(B), shape, rate=0.5, phase=0.25, start=3.0)
    for quarter, amount in enumerate(amounts):
        expected = slerp(A, B, amount)
        for period in (-1, 0, 1000):
            at = 3 + 2 * period + 0.5 * quarter
            assert np.allclose(lfo.at(at), expected, atol=1e-5)
            assert np.allclose(ahead.at(at - 0.5), expected, atol=1e-5)


def test_an_lfos_ends_may_move_and_are_bounded():
    walk = Walk(32, 1, 1.0, 1.0, 0.0)
    lfo = Lfo(walk, Still(B), "saw", 1.0, 0.0, 0.0)
    assert np.allclose(lfo.at(9.25), slerp(walk.at(9.25), B, 0.25))
    path = Still(A)
    for n in range(100):
        path = Lfo(path, path, "sine", 1.0, 0.0, float(n))
        assert parts(path) <= 2 * MOST_PARTS
    assert np.isfinite(path.at(1234.5)).all()
    assert set(SHAPES) == {"sine", "triangle", "square", "saw"}


def test_a_mix_is_as_long_as_its_corners():
    assert np.allclose(mix([A, B, C, A], [0, 3, 0, 0]), B)
    blend = mix([A, B, C], [1, 1, 2])
    plain = A + B + 2 * C
    assert np.allclose(blend / np.linalg.norm(blend), plain / np.linalg.norm(plain), atol=1e-6)
    lengths = [np.linalg.norm(z) for z in (A, B, C)]
    assert np.isclose(np.linalg.norm(blend), np.average(lengths, weights=[1, 1, 2]))
    assert np.allclose(mix([A, B], [0, 0]), mix([A, B], [1, 1]))
    assert np.allclose(mix([A, A], [0.3, 0.3]), A)
    assert not mix([A, -A], [1, 1]).any()
    assert not mix([0 * A, 0 * A], [1, 1]).any()


@pytest.mark.parametrize("name", ["z.json", "Z.NPZ"])
def test_files_give_back_what_was_saved_bit_by_bit(name):
    latents = {"z": A, "ä/b": B * 1e-30, "0": C * 1e30, "file": A}
    data = files.encode(name, latents, "net", {"z": "random seed 1 spread 1"})
    back = files.decode(name, data, 32)
    assert list(back) == list(latents)
    assert all(np.array_equal(back[slot], z) for slot, z in latents.items())


def test_json_says_where_it_is_from():
    content = json.loads(files.encode("z.json", {"z": A}, "net", {"z": "preset flute"}))
    assert content["checkpoint"] == "net" and content["latent_size"] == 32
    assert content["from"] == {"z": "preset flute"}


def test_arrays_without_names_are_numbered():
    data = files.encode("z.npy", {"a": A, "b": B}, "net", {})
    assert np.array_equal(np.load(io.BytesIO(data)), [A, B])
    back = files.decode("z.npy", data, 32)
    assert list(back) == ["0", "1"] and np.array_equal(back["1"], B)
    for content in ([A.tolist(), B.tolist()], {"a": A.tolist(), "b": B.tolist()}):
        found = list(files.decode("z.json", json.dumps(content).encode(), 32).values())
        assert np.array_equal(found, [A, B])
    plain = io.BytesIO()
    np.savez(plain, one=A, two=B)
    assert np.array_equal(files.decode("z.npz", plain.getvalue(), 32)["two"], B)


def npy(array, **how):
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name + ".npy", data)
    return file.getvalue()


HUGE = b"\x93NUMPY\x01\x00\x76\x00" + (
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 32), }".ljust(117) + b"\n"
)
BROKEN = [
    *[("z.json", data) for data in (b"", b"{", b"[]", b"{}", b"[[1]]", b'{"z": "a"}', b"\xff")],
    ("z.json", json.dumps({"z": [float("nan")] * 32}).encode()),
    ("z.json", json.dumps({"z": [10**400] * 32}).encode()),
    ("z.json", json.dumps({"": [0] * 32}).encode()),
    ("z.json", b"[" * 100_000),
    ("z.npy", npy(np.array([print] * 32), allow_pickle=True)),
    ("z.npy", npy(A[:31])),
    ("z.npy", npy(A)[:-1]),
    ("z.npy", HUGE),
    ("z.npy", b"PK"),
    ("z.npz", b"PK\3\4"),
    ("z.npz", npz(latents=HUGE)),
    ("z.npz", npz(latents=bytes(100 << 20))),
    ("z.npz", npz(latents=npy(np.stack([A, B])), names=npy(np.array(["a", "a"])))),
    ("z.npz", npz(z=npy(np.array([print] * 32), allow_pickle=True))),
    ("z.pickle", b""),
]


@pytest.mark.parametrize(("name", "data"), BROKEN)
def test_broken_files_are_refused(name, data):
    with pytest.raises(UserError, match=name):
        files.decode(name, data, 32)


@given(st.binary(max_size=200), st.sampled_from(["z.json", "z.npy", "z.npz"]))
def test_whatever_the_bytes_nothing_else_is_raised(data, name):
    prefix = {"z.npy": b"\x93NUMPY\1\0", "z.npz": b"PK\3\4"}.get(name, b"")
    for content in (data, prefix + data):
        with pytest.raises(UserError):
            files.decode(name, content, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def server(root):
    with ServerProcess("--output", "none", "--root", str(root)) as process:
        yield process
        assert process.process.poll() is None and not process.errors, process.errors


@pytest.fixture
def peer(server):
    peer = Peer(server.port)
    yield peer
    peer.close()


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
    assert np.allclose(get(peer, "w"), Walk(256, 5, 0.0, 1.0, 0.0).at(0), atol=1e-6)


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
    other = Peer(server.port)
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
        _, total, slots, presets, *texts = decoded(datagram)
        found |= dict(zip(texts[: 2 * slots : 2], texts[1 : 2 * slots : 2], strict=True))
        names += texts[2 * slots :]
        assert len(texts) == 2 * slots + presets
        skip += slots + presets
    assert len(found) == 101 and total == len(found) + len(names)
    assert found["slot 7 " + "x" * 100] == "random seed 7 spread 1"
    assert names == list(peer.ask("/checkpoint/info")[5:])


def decoded(datagram):
    message = OscMessage(datagram)
    return (message.address, *message.params)
