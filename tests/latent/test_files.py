"""Latents in files."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server import UserError
from gansynth_server.latent import files
from gansynth_server.latent.vectors import draw

A, B, C = (draw(32, seed) for seed in (1, 2, 3))


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
