"""``gansynth export``: multisamples that samplers read, and networks in ONNX."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

import gansynth_server as gs
from gansynth_server import cli
from gansynth_server.errors import UserError
from gansynth_server.offline import multisample

RATE = 32000


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


def parse(text: str) -> dict[str, list[dict[str, str]]]:
    """The headers of an SFZ file with their opcodes, as samplers read them."""
    found: dict[str, list[dict[str, str]]] = {}
    text = re.sub(r"//.*", "", text)
    for header, body in re.findall(r"<(\w+)>([^<]*)", text):
        pairs = re.findall(r"(\w+)=(.*?)(?=\s+\w+=|\s*$)", body, re.DOTALL)
        found.setdefault(header, []).append(dict(pairs))
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "organ"
    cli.main(
        f"export drawbar_organ --sfz {folder} --step 12 --rate {RATE}".split()
    )  # fmt: skip
    return folder, parse((folder / "drawbar_organ.sfz").read_text())


def test_every_key_has_one_sample_which_is_there(exported, model):
    folder, headers = exported
    keys = []
    for region in headers["region"]:
        low, high, centre = (int(region[n]) for n in ("lokey", "hikey", "pitch_keycenter"))
        assert low <= centre <= high and centre in model.pitches
        keys += range(low, high + 1)
        path = folder / headers["control"][0]["default_path"] / region["sample"]
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_24")
        assert info.frames == 4 * RATE
        assert 0 <= int(region["loop_start"]) < int(region["loop_end"]) < info.frames
        assert region["loop_mode"] == "loop_continuous"
    assert keys == list(range(128))
    centres = [int(region["pitch_keycenter"]) for region in headers["region"]]
    assert centres == [24, 36, 48, 60, 72, 84]
    general = headers["global"][0]
    assert float(general["ampeg_release"]) == pytest.approx(0.3)
    assert float(general["amp_velcurve_1"]) == pytest.approx(1 / 127, abs=1e-5)


def sound_of(exported, centre: int):
    folder, headers = exported
    (region,) = [r for r in headers["region"] if r["pitch_keycenter"] == str(centre)]
    sound, _ = soundfile.read(folder / "samples" / region["sample"], dtype="float32")
    return sound, int(region["loop_start"]), int(region["loop_end"])


@pytest.mark.parametrize("centre", [36, 60, 84])
def test_a_sample_is_the_note_and_loops_without_a_seam(exported, model, centre):
    sound, start, end = sound_of(exported, centre)
    live = model.generate(centre, model.preset("drawbar_organ"), velocity=127, sample_rate=RATE)
    before = slice(0, end - round(multisample.FADE_S * RATE))
    note = live.audio[before]
    gain = np.dot(sound[before], note) / np.dot(note, note)
    assert np.abs(sound[before] - gain * note).max() < 1e-4
    hertz = 440 * 2 ** ((centre - 69) / 12)
    assert end - start > 10 * RATE / hertz
    # played on and on, where the loop closes it is as smooth as elsewhere
    loop = sound[start : end + 1]
    played = np.concatenate([sound[: end + 1], loop, loop])
    kinks = np.abs(np.diff(played, 2))
    usual = kinks[start : end - 10].max()
    seams = [end + 1, end + 1 + len(loop)]
    for seam in seams:
        assert kinks[seam - 5 : seam + 5].max() <= usual * 1.1
        level = np.sqrt(np.mean(played[seam - 1600 : seam + 1600] ** 2))
        assert level == pytest.approx(np.sqrt(np.mean(loop**2)), rel=0.25)


def test_levels_relative_to_each_other_are_kept(exported, model):
    z = model.preset("drawbar_organ")
    ratio = [
        np.abs(model.generate(p, z, velocity=127, sample_rate=RATE).audio).max() for p in (48, 72)
    ]
    ours = [np.abs(sound_of(exported, p)[0]).max() for p in (48, 72)]
    assert ours[0] / ours[1] == pytest.approx(ratio[0] / ratio[1], rel=0.02)
    loudest = max(np.abs(sound_of(exported, p)[0]).max() for p in (24, 36, 48, 60, 72, 84))
    assert 20 * np.log10(loudest) == pytest.approx(-1, abs=0.1)


def test_loops_are_found_in_known_sounds():
    time = np.arange(4 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 220.3 * time)).astype(np.float32)
    found = multisample.looped(57, tone, RATE, 1.0, 2.0)
    assert found.loop is not None
    start, end = found.loop
    assert start == RATE and 1.7 * RATE < end < 2 * RATE
    periods = (end + 1 - start) * 220.3 / RATE
    assert periods == pytest.approx(round(periods), abs=0.01)  # no jump of the phase
    assert np.abs(found.sound - tone).max() < 0.02
    dying = tone * np.exp(-2 * time).astype(np.float32)
    assert multisample.looped(57, dying, RATE, 1.0, 2.0).loop is None
    assert multisample.looped(57, tone, RATE, 0.0, 2.0).loop is None  # nothing before it
    assert multisample.looped(57, tone, RATE, 1.0, 1.05).loop is None
    silent = multisample.looped(57, 0 * tone, RATE, 1.0, 2.0)
    assert np.array_equal(silent.sound, 0 * tone)


def test_pitches_to_sample(model):
    assert multisample.pitches(model, 24) == (24, 48, 72, 84)
    assert multisample.pitches(model, 1) == model.pitches
    for step in (0, 25, -1):
        with pytest.raises(UserError, match="--step"):
            multisample.pitches(model, step)


def refused(*words: object) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", *map(str, words)])
    assert "\n" not in str(stop.value.code)
    return str(stop.value.code)


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    assert "give --sfz" in refused("violin")
    assert "violin" in refused("violinn", "--sfz", tmp_path)
    assert ".onnx file" in refused("violin", "--onnx", tmp_path / "a.bin")
    assert "there is no folder" in refused("violin", "--onnx", tmp_path / "no/a.onnx")
    (tmp_path / "file").write_text("")
    assert "cannot make" in refused("violin", "--sfz", tmp_path / "file/a", "--step", 24)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "gansynth-server[onnx]" in refused("violin", "--onnx", tmp_path / "a.onnx")


@pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="needs the extra onnx"
)
def test_a_network_in_onnx(tmp_path, capsys):
    import onnxruntime

    path = tmp_path / "net.onnx"
    name = "all_instruments_lite"
    cli.main(["export", "violin", "--onnx", str(path), "--checkpoint", name])
    assert "of the network" in capsys.readouterr().out
    model = gs.load(name)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert about["checkpoint"] == name and json.loads(about["pitches"]) == list(model.pitches)
    assert (about["sample_rate"], about["hop"], about["fft"]) == ("16000", "512", "2048")
    z = np.array(json.loads(about["latents"])["violin"], np.float32)
    assert np.array_equal(z, model.preset("violin"))
    magnitude, increment = session.run(
        None, {"latent": np.stack([z] * 2), "pitch": np.array([60, 127])}
    )
    labels = np.array([model.checkpoint.config.label(pitch) for pitch in (60, 84)])
    expected = model.backend.frames(np.stack([z] * 2), labels, (0, 128))
    for ours, theirs in zip(expected, (magnitude, increment), strict=True):
        assert theirs.shape == (2, 128, 1024)
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(ours).max()
