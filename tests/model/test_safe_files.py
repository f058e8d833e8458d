"""Files from elsewhere: the hostile ones are refused, and memory does not grow by them."""

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from gansynth_server import cli
from gansynth_server.errors import UserError
from gansynth_server.latent import directions
from gansynth_server.model import checkpoint, safe_files
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator

CONFIG = GeneratorConfig(latent_size=8, filters=progressive_filters(512, 8))
HEADROOM = 768 * 2**20
"""Bytes of address space that a refusal may take."""


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "mine", Generator(CONFIG), {}, {"violin": np.zeros(8, np.float32)})
    return tmp_path / "mine"


@pytest.fixture
def little_memory():
    """Whatever asks for much fails at once."""
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + HEADROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def header(tensors, data=b""):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape, first, last, kind="F16"):
    return {"dtype": kind, "shape": shape, "data_offsets": [first, last]}


HOSTILE = {
    "10 GB header": struct.pack("<Q", 10 * 2**30) + b"{}" + bytes(100),
    "2^64 header": b"\xff" * 8 + b"{}" + bytes(100),
    "short": b"\2\0\0",
    "deep header": struct.pack("<Q", 10**6) + b"[" * 10**6,
    "list for header": header([1, 2]),
    "tensor beyond the end": header({"a": tensor([10**9], 0, 2 * 10**9)}),
    "10^30 numbers": header({"a": tensor([10**15, 10**15], 0, 4)}, bytes(4)),
    "negative shape": header({"a": tensor([-2, -1], 0, 4)}, bytes(4)),
    "shape and bytes differ": header({"a": tensor([3], 0, 4)}, bytes(4)),
    "overlap": header({"a": tensor([2], 0, 4), "b": tensor([2], 2, 6)}, bytes(6)),
    "bytes of nobody": header({"a": tensor([2], 0, 4)}, bytes(8)),
    "strings": header({"a": tensor([4], 0, 4, "U8")}, bytes(4)),
    "fractions": header({"a": tensor([2.0], 0, 4)}, bytes(4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_weights_are_refused_before_anything_is_allocated(name, folder, little_memory):
    (folder / "model.safetensors").write_bytes(HOSTILE[name])
    with pytest.raises(ValueError):  # noqa: PT011 each says something else
        safe_files.check_safetensors(folder / "model.safetensors")
    with pytest.raises(UserError, match="damaged or not a safetensors file"):
        checkpoint.load(str(folder))
    (folder / "config.json").unlink()  # and where the header holds the config too
    with pytest.raises(UserError, match="damaged or not a safetensors file"):
        checkpoint.load(str(folder))


def test_our_own_weights_pass(folder):
    safe_files.check_safetensors(folder / "model.safetensors")
    safe_files.check_safetensors(checkpoint.locate("all_instruments") / "model.safetensors")


class Evil:
    def __reduce__(self):
        return os.system, ("touch touched",)


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".pkl", ".pth", ".safetensors"])
def test_a_pickle_is_never_run(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"evil{suffix}"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="safetensors") as refused:
        checkpoint.load(str(path))
    assert "gansynth convert" in str(refused.value) or suffix == ".safetensors"
    with pytest.raises(SystemExit) as stop:
        cli.main(["convert", str(path)])
    assert isinstance(stop.value.code, str) and "\n" not in stop.value.code
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"filters": [10**9] * 7},
        {"filters": [4096] * 13},
        {"latent_size": 10**12},
        {"latent_size": float("inf")},
        {"start": [4096, 4096]},
        {"upscale": 4096},
        {"pitches": list(range(10**5))},
        {"pitches": [10**6]},
        {"normalizer": {"magnitude_a": float("nan")}},
        {"normalizer": {"magnitude_a": 0.0}},
        {"normalizer": {"phase_a": "1"}},
        {"progress": float("inf")},
        {"filters": None},
        {"nonsense": 1},
    ],
)
def test_impossible_configs_are_refused_before_anything_is_allocated(change, folder, little_memory):
    info = json.loads((folder / "config.json").read_text())
    info["generator"] |= change
    (folder / "config.json").write_text(json.dumps(info))
    with pytest.raises(UserError):
        checkpoint.load(str(folder))


@pytest.mark.parametrize("name", ["config.json", "presets.json"])
def test_large_and_deep_json_is_refused(name, folder, monkeypatch, little_memory):
    (folder / name).write_text("[" * 10**6)
    with pytest.raises(UserError, match="nested too deeply"):
        checkpoint.load(str(folder))
    with (folder / name).open("wb") as file:
        file.truncate(10 * 2**30)  # takes no room on the disk
    with pytest.raises(UserError, match="more than"):
        checkpoint.load(str(folder))


@pytest.mark.parametrize("text", ["NaN", "1e999", '"x"', "null", "{}", "[1, 2]"])
def test_presets_must_be_finite_numbers(text, folder):
    values = ", ".join([text] * 8)
    (folder / "presets.json").write_text(f'{{"violin": [{values}]}}')
    with pytest.raises(UserError, match="presets"):
        checkpoint.load(str(folder))


def npy(shape, data=b"", kind="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": kind}
    )
    return file.getvalue() + data


@pytest.mark.parametrize(
    "member",
    [npy((10**12,)), npy((3,), bytes(8)), npy((1,), bytes(8), "|O"), b"no array", bytes(2**26 + 1)],
    ids=["larger than its data", "cut off", "objects", "nothing", "bomb"],
)
def test_hostile_directions_are_refused(member, folder, little_memory):
    loaded = checkpoint.load(str(folder))
    with zipfile.ZipFile(folder / "pca.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("latent", "var_ratio", "reach", "bias"):
            archive.writestr(f"{name}.npy", member)
    with pytest.raises(UserError, match="no directions"):
        directions.load(loaded)


def test_a_zip_that_leads_out_or_is_a_bomb_is_not_unpacked(tmp_path):
    """The rest of what archives may try is in test_convert."""
    for name, content in (("../../outside.index", b"x"), ("a/model.index", bytes(2**22))):
        path = tmp_path / "training.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        code = (
            "import sys; from gansynth_server.model.magenta import archive; archive.LIMIT = 2**20;"
            "from gansynth_server import cli; cli.main(sys.argv[1:])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "convert", str(path), "--to", str(tmp_path / "to")],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("outside*")) and not (tmp_path.parent / "outside.index").exists()
