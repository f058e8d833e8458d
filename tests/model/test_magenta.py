"""Magenta's checkpoints, whole and broken: converted to the last digit, or one clear sentence."""

import importlib.util
import json
import lzma
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gansynth_server as gs
from gansynth_server import cli
from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint, discriminator
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.magenta import archive, bundle, convert, ganspace
from gansynth_server.model.magenta.crc32c import crc32c
from tests.support import golden_rule, tf_bundles
from tests.support.golden_rule import FOLDER

GOLDEN = FOLDER / "golden_tiny.tar.xz"
STEM = "stage_00012/model.ckpt-11000000"
INDEX, DATA = f"{STEM}.index", f"{STEM}.data-00000-of-00001"
SMALL = GeneratorConfig(latent_size=7, pitches=tuple(range(40, 44)), filters=(4, 4, 4, 4, 4, 3, 2))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's data, empty at first."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv(checkpoint.VARIABLE, raising=False)
    return tmp_path / "data"


@pytest.fixture
def golden(tmp_path):
    """The unpacked golden training."""
    with tarfile.open(GOLDEN) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "golden_tiny"


@pytest.fixture(scope="module")
def small():
    return tf_bundles.magentas_tensors(SMALL, 5)


def run(*args) -> None:
    cli.main([*map(str, args)])


def refusal(capsys, *args) -> str:
    """The one line of a command that fails; nothing else may be printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run(*args)
    message = stop.value.code  # a string goes to stderr, and the status is 1
    assert isinstance(message, str) and "\n" not in message and len(message) < 400
    out, err = capsys.readouterr()
    assert not out and not err
    return message


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def contents(folder: Path, prefix: str = "") -> dict[str, bytes]:
    return {
        prefix + path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["tar.xz", "tar", "folder", "nested folder", "stage", "zip"])
def test_golden_training_plays_to_the_last_digit(kind, golden, tmp_path, capsys):
    source = {"tar.xz": GOLDEN, "folder": golden, "stage": golden / "stage_00012"}.get(kind)
    if kind == "zip":
        shadow = {"__MACOSX/golden_tiny/stage_00012/._model.ckpt-11000000.index": b"\0"}
        source = zipped(tmp_path / "golden_tiny.zip", contents(golden, "golden_tiny/") | shadow)
    elif kind == "tar":
        source = tmp_path / "golden_tiny.tar"
        source.write_bytes(lzma.decompress(GOLDEN.read_bytes()))
    elif kind == "nested folder":
        (tmp_path / "outer").mkdir()
        golden.rename(tmp_path / "outer" / "golden_tiny")
        source = tmp_path / "outer"
    run("convert", source)
    assert importlib.util.find_spec("tensorflow") is None and "tensorflow" not in sys.modules
    out = capsys.readouterr().out
    assert "step 11,000,000, latent 32, 61 pitches 24-84" in out
    assert "gansynth-server --checkpoint golden_tiny" in out

    model = gs.load("golden_tiny", "cpu")
    notes = np.load(FOLDER / "tiny_notes.npz")
    z = notes["z"].astype(np.float32)
    assert np.abs(model.spectra(z, notes["pitches"])[:, ::8] - notes["raw"]).max() <= 2e-3
    waves = model.generate_batch(z, notes["pitches"])
    for ours, theirs in zip(waves, notes["waves"], strict=True):
        assert np.sqrt(np.mean((ours - theirs) ** 2) / np.mean(theirs**2)) <= 1e-3
    provenance = model.checkpoint.provenance
    assert provenance["step"] == 11_000_000 and provenance["stage"] == 12
    assert len(provenance["sha256"]) == 64 and provenance["source"].startswith(
        "golden_tiny/stage_00012" if source.is_dir() else source.name
    )
    assert sorted(p.name for p in model.checkpoint.path.iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_needs_neither_tensorflow_nor_pytorch_and_says_one_line(tmp_path):
    code = (
        "import sys; from gansynth_server import cli; cli.main(sys.argv[1:]);"
        "assert not {'torch', 'tensorflow'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, "convert", "--to", str(tmp_path / "to")]
    done = subprocess.run([*command, str(GOLDEN), "--discriminator"], capture_output=True)
    assert done.returncode == 0 and (tmp_path / "to" / "golden_tiny" / "config.json").is_file()
    again = subprocess.run([*command, str(GOLDEN)], capture_output=True, text=True)
    assert again.returncode == 1 and not again.stdout
    assert again.stderr.count("\n") == 1 and "--force" in again.stderr


def test_weights_are_the_moving_averages_to_the_bit():
    run("convert", GOLDEN, "--name", "exact")
    ours = checkpoint.load("exact").generator.state_dict()
    for name, tensor in golden_rule.generator(golden_rule.TINY).state_dict().items():
        assert torch.equal(ours[name], tensor)


def test_discriminator_comes_along_if_asked(home):
    run("convert", GOLDEN, "--discriminator")
    folder = home / "gansynth-server" / "checkpoints" / "golden_tiny"
    net = discriminator.load(folder, checkpoint.load("golden_tiny").config)
    rule = tf_bundles.judge(golden_rule.TINY, 16)
    for name, tensor in rule.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)
    with pytest.raises(UserError, match="--discriminator"):
        discriminator.load(folder.parent, net.config)


def test_weights_that_float16_would_round_stay_float32(tmp_path, small):
    exact = {k: v + np.float32(1e-5) if v.ndim else v for k, v in small.items()}
    tf_bundles.write_training(tmp_path / "fine", exact)
    run("convert", tmp_path / "fine", "--lowest-pitch", "40")
    name = "Generator/progressive_gan_generator/progressive_gan_block_7/conv1/bias"
    ours = checkpoint.load("fine").generator.state_dict()["blocks.6.conv1.bias"]
    assert np.array_equal(ours.numpy(), exact[name + tf_bundles.EMA])


def test_other_sizes_and_pitches(tmp_path, capsys, small):
    folder = tf_bundles.write_training(tmp_path / "sopi", small, settings={"latent_vector_size": 7})
    run("convert", folder, "--lowest-pitch", "50")
    out = capsys.readouterr().out
    assert "4 pitches 50-53" in out and "assumed: " in out and "data_type mel" in out
    assert gs.load("sopi", "cpu").pitches == (50, 51, 52, 53)

    meta = {f"note{i}": {"pitch": pitch} for i, pitch in enumerate([60, 64, 67, 72, 60])}
    (tmp_path / "sopi" / "meta.json").write_text(json.dumps(meta))
    run("convert", tmp_path / "sopi", "--name", "chord")
    assert gs.load("chord", "cpu").pitches == (60, 64, 67, 72)

    (tmp_path / "sopi" / "meta.json").unlink()
    settings = {"train_min_pitch": 30, "train_max_pitch": 33}
    (tmp_path / "sopi" / "experiment.json").write_text(json.dumps(settings))
    run("convert", tmp_path / "sopi", "--name", "low", "--to", tmp_path / "elsewhere")
    model = gs.load(str(tmp_path / "elsewhere" / "low"), "cpu")
    assert model.pitches == (30, 31, 32, 33) and model.latent_size == 7
    assert model.generate(31, duration=0.1).audio.shape == (1600,)


def test_without_discriminator_the_latent_size_is_asked_for(tmp_path, capsys, small):
    alone = {k: v for k, v in small.items() if k.startswith("Generator")}
    tf_bundles.write_training(tmp_path / "alone", alone)
    assert "--latent-size" in refusal(capsys, "convert", tmp_path / "alone")
    run("convert", tmp_path / "alone", "--latent-size", 7, "--lowest-pitch", 40)
    assert gs.load("alone", "cpu").latent_size == 7
    assert "is missing" in refusal(
        capsys, *("convert", tmp_path / "alone", "--force", "--discriminator"),
        *("--latent-size", 7, "--lowest-pitch", 40),
    )  # fmt: skip


def test_unfinished_stage_plays_at_its_own_resolution(tmp_path, capsys):
    data = np.load(FOLDER / "discriminator.npz")
    config = GeneratorConfig(latent_size=32, filters=golden_rule.TINY.filters[:5])
    tensors = tf_bundles.magentas_tensors(config, 16, step=int(data["stage07_step"]))
    # the golden notes of this stage are by the weights, not by their averages
    tensors |= {k + tf_bundles.EMA: v for k, v in tensors.items() if k + tf_bundles.EMA in tensors}
    tf_bundles.write_training(tmp_path / "young", tensors, stage=7, settings={"data_type": "mel"})
    run("convert", tmp_path / "young")
    out = capsys.readouterr().out
    assert "stage 7" in out and "progress 3.30 of 6" in out and "32×256" in out
    model = gs.load("young", "cpu")
    labels = data["stage07_labels"]
    raw = model.spectra(data["stage07_z"], labels + 24)
    assert raw.shape == (4, 128, 1024, 2)
    normal = model.checkpoint.config.normalizer
    note = raw[0, ::8, ::8] - [normal.magnitude_b, normal.phase_b]
    note /= [normal.magnitude_a, normal.phase_a]
    assert np.abs(note - data["stage07_note0_every8x8"]).max() <= 2e-3


def test_last_stage_and_named_step_win(tmp_path, capsys, small):
    root = tmp_path / "training"
    tf_bundles.write_training(root, {"other": np.zeros(3, np.float32)}, stage=11)
    stage = tf_bundles.write_training(root, {**small, "global_step": np.array(90)}, stage=12)
    tf_bundles.write_bundle(stage / "model.ckpt-100", {**small, "global_step": np.array(100)})
    (stage / "checkpoint").write_text('model_checkpoint_path: "/gone/stage_00012/model.ckpt-90"\n')
    run("convert", root, "--lowest-pitch", 40, "--name", "named")
    assert "step 90," in capsys.readouterr().out
    (stage / "checkpoint").unlink()
    run("convert", root, "--lowest-pitch", 40, "--name", "highest")
    out = capsys.readouterr().out
    assert "step 100," in out and "highest step" in out


def test_name_that_a_bundled_checkpoint_has_gets_another(golden, capsys, home):
    golden.rename(golden.parent / "all_instruments")
    run("convert", golden.parent / "all_instruments")
    assert gs.load("magenta_all_instruments", "cpu").latent_size == 32
    assert gs.load("all_instruments", "cpu").latent_size == 256
    assert "exists" in refusal(capsys, "convert", GOLDEN, "--name", "all_instruments")


def test_taken_name_is_replaced_only_by_force(capsys, home, small, tmp_path):
    run("convert", GOLDEN)
    before = contents(home)
    tf_bundles.write_training(tmp_path / "golden_tiny", small)
    source = (tmp_path / "golden_tiny", "--lowest-pitch", 40)
    assert "--force" in refusal(capsys, "convert", *source)
    assert contents(home) == before
    run("convert", *source, "--force")
    assert gs.load("golden_tiny", "cpu").latent_size == 7
    assert [p.name for p in (home / "gansynth-server" / "checkpoints").iterdir()] == ["golden_tiny"]


def test_list_of_checkpoints(home, capsys):
    run("convert", GOLDEN)
    folder = home / "gansynth-server" / "checkpoints" / "golden_tiny"
    (folder / "figures.json").write_text('{"in_tune": 0.9512, "off": {"24": 60}}')
    capsys.readouterr()
    run("checkpoints")
    out = capsys.readouterr().out
    assert out.startswith("golden_tiny\n  latent 32, 61 pitches 24-84, 0.1 MB\n")
    assert "  from golden_tiny.tar.xz, step 11,000,000\n  in_tune 0.951\n" in out
    assert str(folder) in out and "\nall_instruments\n" in out


def cut(name, share):
    def spoil(root):
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: int(len(data) * share)])

    return spoil


def flip(name, at, to=None):
    def spoil(root):
        data = bytearray((root / name).read_bytes())
        data[at] = data[at] ^ 0x10 if to is None else to
        (root / name).write_bytes(data)

    return spoil


def snappy(root):
    """Marks the first block of tensors as compressed."""
    data = (root / INDEX).read_bytes()
    at = 0
    for _ in range(2):  # the footer's second handle is that of the block of blocks
        _, at = bundle._varint(data[-bundle.FOOTER :], at)
    blocks = bundle._records(bundle._block(data, data[at - bundle.FOOTER :]))
    offset, at = bundle._varint(handle := next(blocks)[1], 0)
    size, _ = bundle._varint(handle, at)
    flip(INDEX, offset + size, to=1)(root)


def rewritten(change):
    """Writes the golden tensors anew after a change of their dict."""

    def spoil(root):
        old = bundle.Bundle(root / STEM)
        tensors = {k: old.tensor(k).copy() for k in old.entries if "Adam" not in k}
        tf_bundles.write_bundle(root / STEM, change(tensors))

    return spoil


def unlink(name):
    return lambda root: (root / name).unlink()


def without(part):
    return rewritten(lambda tensors: {k: v for k, v in tensors.items() if part not in k})


def not_finite(tensors):
    name = "Generator/progressive_gan_generator/progressive_gan_block_3/conv0/bias" + tf_bundles.EMA
    tensors[name][0] = np.nan
    return tensors


def five_wide(tensors):
    name = "Generator/progressive_gan_generator/progressive_gan_block_3/conv1/conv2d/kernel"
    tensors[name + tf_bundles.EMA] = np.zeros((5, 5, 16, 16), np.float32)
    return tensors


def dense(tensors):
    name = "Generator/progressive_gan_generator/progressive_gan_block_3/conv0/conv2d/kernel"
    tensors[name + tf_bundles.EMA] = np.zeros((16, 16), np.float32)
    return tensors


def setting(**values):
    return lambda root: (root / "experiment.json").write_text(json.dumps(values))


BROKEN = {
    "truncated index": (cut(INDEX, 0.5), "damaged or not a TensorFlow index"),
    "index cut in its footer": (cut(INDEX, 0.999), "damaged or not a TensorFlow index"),
    "empty index": (cut(INDEX, 0), "too short"),
    "truncated data": (cut(DATA, 0.5), "is cut off"),
    "empty data": (cut(DATA, 0), "is cut off"),
    "flipped byte in data": (flip(DATA, 700_000), "checksum of"),
    "flipped byte in index": (flip(INDEX, 2000), "checksum is wrong"),
    "flipped byte in footer": (flip(INDEX, -45), "damaged"),
    "missing data": (unlink(DATA), "cannot be read"),
    "missing index": (unlink(INDEX), "no TensorFlow checkpoint"),
    "Snappy block": (snappy, "Snappy"),
    "not a table": (lambda root: (root / INDEX).write_bytes(b"hello " * 99), "not a TensorFlow"),
    "another model": (without("Generator"), "another model"),
    "no averages": (without("ExponentialMovingAverage"), "moving averages"),
    "missing tensor": (without("block_4/conv1/bias"), "is missing"),
    "another kernel": (rewritten(five_wide), "is not GANSynth's network"),
    "another layer": (rewritten(dense), "no GANSynth has"),
    "not finite": (rewritten(not_finite), "not finite"),
    "settings not JSON": (lambda root: (root / "experiment.json").write_text("{"), "JSON"),
    "settings no list": (lambda root: (root / "experiment.json").write_text("[]"), "settings"),
    "another data type": (setting(data_type="linear"), "'linear'"),
    "other conditions": (setting(latent_vector_size=22), "other conditions"),
    "constant no number": (setting(mag_normalizer_a="x"), "no number"),
    "constant not finite": (setting(p_normalizer_a=float("nan")), "no number"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_training_is_refused_in_one_line(kind, golden, capsys, home):
    spoil, message = BROKEN[kind]
    spoil(golden)
    assert message in refusal(capsys, "convert", golden)
    assert not home.exists()


def test_damage_in_an_archive_names_the_archive(golden, tmp_path, capsys, home):
    flip(DATA, 700_000)(golden)
    source = zipped(tmp_path / "bad.zip", contents(golden, "golden_tiny/"))
    message = refusal(capsys, "convert", source)
    assert f"{source}: golden_tiny/stage_00012/model" in message and "checksum" in message
    assert not home.exists()


def test_what_is_no_training_is_refused(tmp_path, capsys, home, small):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("hello")
    assert "there is no" in refusal(capsys, "convert", tmp_path / "nothing")
    assert "no TensorFlow checkpoint" in refusal(capsys, "convert", tmp_path / "empty")
    assert "no zip or tar" in refusal(capsys, "convert", tmp_path / "text.zip")
    assert "no TensorFlow" in refusal(
        capsys, "convert", zipped(tmp_path / "other.zip", {"a.txt": b""})
    )
    for name in ("one", "two"):
        tf_bundles.write_training(tmp_path / "both" / name, small)
    assert "several" in refusal(capsys, "convert", tmp_path / "both")
    assert "--lowest-pitch" in refusal(capsys, "convert", tmp_path / "both" / "one")
    for pitch in (-1, 125):
        assert "not all MIDI" in refusal(
            capsys, "convert", tmp_path / "both" / "one", f"--lowest-pitch={pitch}"
        )
    assert "a name has" in refusal(capsys, "convert", tmp_path / "both" / "one", "--name", "../up")
    assert not home.exists()


def test_spectra_of_another_size_are_refused(tmp_path, capsys, home):
    config = GeneratorConfig(latent_size=7, pitches=(1, 2), filters=(2, 2), start=(4, 8))
    tf_bundles.write_training(tmp_path / "lores", tf_bundles.magentas_tensors(config, 2), stage=2)
    assert "128×1024" in refusal(capsys, "convert", tmp_path / "lores")
    assert not home.exists()


def link_in_zip(path):
    info = zipfile.ZipInfo("golden/stage_00012/model.index")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(info, "/etc/passwd")


def link_in_tar(path):
    info = tarfile.TarInfo("golden/stage_00012/model.index")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(path, "w") as file:
        file.addfile(info)


def large_tar(path):
    info = tarfile.TarInfo("golden/stage_00012/model.index")
    info.size = 2**40  # in its header alone
    path.write_bytes(info.tobuf() + bytes(1024))


def claiming_zip(path, size, claimed):
    """A member of a size whose directory entry claims another."""
    zipped(path, {"golden/stage_00012/model.index": bytes(size)})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", claimed)
    path.write_bytes(data)


def large_zip(path):
    """A member whose directory entry claims 4 GB."""
    claiming_zip(path, 2**20, 0xFFFFFFF0)


def lying_zip(path):
    """A member that inflates to more than it claims."""
    claiming_zip(path, 2**24, 100)


def cut_zip(path):
    zipped(path, {"golden/stage_00012/model.index": os.urandom(4096)})
    path.write_bytes(path.read_bytes()[:2000])


def cut_tar(path):
    path.write_bytes(GOLDEN.read_bytes()[:60_000])


ARCHIVES = {
    "path up": (lambda p: zipped(p, {"a/../../model.index": b""}), "leads out"),
    "absolute path": (lambda p: zipped(p, {"/tmp/model.index": b""}), "leads out"),
    "Windows path": (lambda p: zipped(p, {"C:/model.index": b""}), "leads out"),
    "link in zip": (link_in_zip, "link or device"),
    "link in tar": (link_in_tar, "link or device"),
    "zip bomb": (large_zip, "more than 2 GB"),
    "tar bomb": (large_tar, "more than 32 GB"),
    "zip that lies": (lying_zip, "cannot be unpacked"),
    "truncated zip": (cut_zip, "is cut off"),
    "truncated tar.xz": (cut_tar, "cannot be unpacked"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_hostile_archive_is_refused_in_one_line(kind, tmp_path, capsys, home):
    make, message = ARCHIVES[kind]
    make(tmp_path / "archive")
    assert message in refusal(capsys, "convert", tmp_path / "archive")
    assert {p.name for p in tmp_path.iterdir()} == {"archive"}


def test_nothing_is_left_when_the_disk_fails(home, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert.checkpoint, "write_atomically", full)
    assert "No space left" in refusal(capsys, "convert", GOLDEN)
    assert not contents(home)


def test_unpacking_stops_at_its_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(archive, "LIMIT", 1000)
    with pytest.raises(UserError, match="would unpack"):
        archive.unpack(GOLDEN, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 1, 3, 4, 9, 63, 64, 65, 1000, 4096, 70_001, 300_000])
def test_crc32c_is_the_plain_ones(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(data) == register ^ 0xFFFFFFFF


def test_crc32c_is_the_published_one():
    assert crc32c(b"123456789") == 0xE3069283 and crc32c(bytes(32)) == 0x8A9136AA


def components() -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "layer": "conv0",
        "comp": rng.standard_normal((3, 8)).astype(np.float32),
        "stdev": rng.random(3),
        "var_ratio": np.asfortranarray(rng.random((3, 1))),
        "global_mean": rng.random(8).astype(">f4"),
    }


@pytest.mark.parametrize("protocol", range(6))
def test_components_come_out_of_their_pickle(protocol, tmp_path, capsys):
    path = tmp_path / "pca.pickle"
    path.write_bytes(pickle.dumps(components(), protocol))
    run("convert", path)
    assert f"{tmp_path / 'pca.npz'}: 3 components of conv0" in capsys.readouterr().out
    with np.load(tmp_path / "pca.npz") as found:
        for key, value in components().items():
            assert np.array_equal(found[key], value)
    assert "--force" in refusal(capsys, "convert", path)


def test_pickle_of_python_2_and_old_numpy(tmp_path):
    stdev = np.array([1.5, 200.0], "<f8")
    raw = stdev.tobytes()
    text = "".join(f"\\x{byte:02x}" for byte in raw)
    array = (
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\n"
        "dtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + text + "'\ntb"
    )
    mean = (
        "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRS'" + text[:32] + "'\ntR"
    )
    path = tmp_path / "old.pkl"
    path.write_text(f"(dS'comp'\n{array}sS'stdev'\n{array}sS'global_mean'\n{mean}s.")
    values = ganspace.read(path)
    assert np.array_equal(values["comp"], stdev) and values["global_mean"] == 1.5


class Call:
    """Pickles as a call of something."""

    def __init__(self, *what):
        self.what = what

    def __reduce__(self):
        return self.what[0], self.what[1:]


EVIL = {
    "a call": (Call(os.system, "touch touched"), "system"),
    "a builtin": (Call(eval, "1"), "builtins.eval"),
    "objects": (np.array([{}, None]), "type 'O8'"),
    "a hidden encoding": (Call(__import__("_codecs").encode, "a", "rot13"), "encoding"),
    "another class": (Path("x"), "athlib"),
    "NumPy's files": (Call(np.load, "x"), "refused"),
    "text": (np.array(["a"]), "type"),
}


@pytest.mark.parametrize("kind", EVIL)
def test_pickle_that_asks_for_more_is_refused(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing, message = EVIL[kind]
    path = tmp_path / "evil.pickle"
    path.write_bytes(pickle.dumps({**components(), "layer": thing}))
    assert message in refusal(capsys, "convert", path)
    assert [p.name for p in tmp_path.iterdir()] == ["evil.pickle"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"comp": np.ones((2, 3))}, "lacks"),
        ([1, 2], "lacks"),
        ({**components(), "comp": "text"}, "not finite numbers"),
        ({**components(), "stdev": np.full(3, np.nan)}, "not finite numbers"),
        ({**components(), "stdev": np.ones(2)}, "differ in length"),
    ],
)
def test_pickle_of_something_else_is_refused(values, message, tmp_path, capsys):
    path = tmp_path / "other.pickle"
    path.write_bytes(pickle.dumps(values))
    assert message in refusal(capsys, "convert", path)
    path.write_bytes(pickle.dumps(components())[:-20])
    assert "damaged" in refusal(capsys, "convert", path)
    assert [p.name for p in tmp_path.iterdir()] == ["other.pickle"]


@pytest.mark.parametrize("behind", ["", ".index", ".data-00000-of-00001", ".meta"])
def test_tensorflows_prefix_of_a_checkpoint(golden, tmp_path, behind):
    """It is no file by itself; the files that it stands for mean the same."""
    given = golden / f"{STEM}{behind}"
    if behind == ".meta":
        given.write_bytes(b"the graph")
    run("convert", given, "--to", tmp_path / "to", "--name", "a")
    run("convert", golden, "--to", tmp_path / "to", "--name", "b")
    first, second = (load_file(tmp_path / "to" / name / "model.safetensors") for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in {*first, *second})


def test_of_several_checkpoints_the_prefix_chooses(golden, tmp_path, capsys):
    older = golden / "stage_00012/model.ckpt-9"
    for path in (golden / INDEX, golden / DATA):
        path.with_name(path.name.replace(Path(STEM).name, older.name)).write_bytes(
            path.read_bytes()
        )
    run("convert", older, "--to", tmp_path, "--name", "c")
    config = json.loads((tmp_path / "c/config.json").read_text())
    assert "model.ckpt-9" in json.dumps(config)
    assert "there is no" in refusal(capsys, "convert", golden / "stage_00012/model.ckpt-8")


def test_a_page_in_place_of_an_archive_is_named(tmp_path, capsys):
    page = tmp_path / "acoustic_only.zip"
    page.write_text("<!DOCTYPE html><title>404</title>")
    assert "is a web page" in refusal(capsys, "convert", page)


def test_the_server_says_what_to_do_with_a_prefix(golden):
    with pytest.raises(UserError, match="bring it over with gansynth convert"):
        checkpoint.locate(str(golden / STEM))
