"""``gansynth dataset dssi``: notes of DSSI synthesisers, and the octaves at which they sound."""

import os
import signal
import urllib.parse

import numpy as np
import pytest

from gansynth_server import UserError, cli
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.sources import dssi, dssi_host, tuning
from tests.support.packages import missing
from tests.support.training_runs import interrupted_after

RATE = 16000
BANK = "/usr/share/whysynth/current_default_patches.WhySynth"


@pytest.fixture(scope="module")
def plugin():
    """WhySynth's library; the test is skipped without it, and fails in CI."""
    try:
        return dssi_host.find("whysynth")
    except FileNotFoundError:
        missing("WhySynth", "whysynth")


@pytest.fixture(scope="module")
def bank(plugin, tmp_path_factory):
    """Patches of WhySynth's own: a strings pad, an octave low vector sound, an organ, grains."""
    with open(BANK, encoding="utf-8") as file:
        heading, *patches = file.read().split("# WhySynth patch\n")
    found = {
        urllib.parse.unquote(line.removeprefix("name ")): patch
        for patch in patches
        for line in patch.splitlines()
        if line.startswith("name ")
    }
    names = ("New String Thingy", "K4oid: Seventy", "X2: Wavey", "SillyGrains", "X2: Wavey")
    path = tmp_path_factory.mktemp("bank") / "some.WhySynth"
    path.write_text(heading + "".join("# WhySynth patch\n" + found[name] for name in names))
    return path


def buzz(pitch, seconds=4.0, partials=range(1, 12)):
    time = np.arange(round(seconds * RATE)) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    waves = (np.sin(2 * np.pi * k * hertz * time + k) / k for k in partials if k * hertz < 7500)
    return (0.3 * sum(waves)).astype(np.float32)


def test_programs_are_rendered_in_tune_with_their_names_and_licence(bank, tmp_path, capsys):
    arguments = ["dataset", "dssi", "whysynth", "--patches", str(bank), "-o", str(tmp_path)]
    cli.main([*arguments, "--pitches", "57,69", "--processes", "2"])
    data = Dataset.open(tmp_path)
    names = ("new_string_thingy", "k4oid_seventy", "x2_wavey", "x2_wavey_2")
    assert data.instruments == names
    assert [(n.pitch, n.velocity, n.family, n.source) for n in data.notes[:2]] == [
        (57, 100, "strings", "synthetic"),
        (69, 100, "strings", "synthetic"),
    ]
    assert data.left_out == {dssi.UNPITCHED: 2}  # the grains
    waves = data.audio(slice(None)).numpy()
    assert np.allclose(np.abs(waves).max(axis=1), 0.5, atol=1e-4)
    for row, note in enumerate(data.notes):
        assert tuning.octave_of({note.pitch: waves[row]}) == 0  # the second one is played higher
    level = np.sqrt((waves.reshape(-1, 80, 800) ** 2).mean(axis=2))
    assert (level[:, 78] <= 0.8 * level[:, 55]).all()  # let go after 3 s
    assert np.array_equal(waves[4], waves[6])
    assert "public domain" in data.about["licence"] and "public domain" in capsys.readouterr().out
    assert data.about["plugin"]["label"] == "WhySynth"
    assert data.about["plugin"]["copyright"].startswith("GNU")


def test_interrupted_rendering_goes_on_to_the_same_bytes(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(dssi, "CHUNK", 2)

    def render(name):
        return dssi.render("whysynth", tmp_path / name, patches=[bank], pitches=(60, 72))

    whole = render("whole")
    with interrupted_after(3), pytest.raises(KeyboardInterrupt):
        render("parts")
    render("parts")
    for name in ("notes.s16", "index.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (whole.folder / name).read_bytes()


def crash(*_):
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_program_that_crashes_costs_no_other(bank, tmp_path, monkeypatch):
    with pytest.raises(dssi_host.CrashError, match="ended with -11"):
        dssi_host.apart(crash)
    apart, played = dssi_host.apart, []

    def unlucky(function, *arguments):
        if function is dssi_host.play:
            played.append({note.program.name for note in arguments[-1]})
            if "X2: Wavey" in played[-1]:
                return apart(crash)
        return apart(function, *arguments)

    monkeypatch.setattr(dssi_host, "apart", unlucky)
    data = dssi.render("whysynth", tmp_path, patches=[bank], pitches=(60,))
    assert data.instruments == ("new_string_thingy", "k4oid_seventy")
    assert data.left_out == {dssi.CRASHED: 2, dssi.UNPITCHED: 1}
    # all together, then one by one, then what was found to sound
    assert [len(names) for names in played] == [4, 1, 1, 1, 1, 1, 2]


def test_what_is_no_plugin_says_so(tmp_path, plugin):
    with pytest.raises(UserError, match="apt install whysynth"):
        dssi.render("nosynth", tmp_path / "out")
    with pytest.raises(UserError, match="no patches at"):
        dssi.render("whysynth", tmp_path / "out", patches=[tmp_path / "none"])
    (tmp_path / "bad").write_text("no patches")
    with pytest.raises(UserError, match="no patches recognized"):
        dssi.render("whysynth", tmp_path / "out", patches=[tmp_path / "bad"])
    (tmp_path / "bad.so").write_text("no library")
    with pytest.raises(UserError, match=r"bad\.so does not work"):
        dssi.render(str(tmp_path / "bad.so"), tmp_path / "out")


def test_octaves_are_heard():
    probes = (48, 60, 72)
    for octave in (-24, -12, 0, 12, 24):
        waves = {pitch: buzz(pitch + octave) for pitch in probes}
        assert tuning.octave_of(waves) == octave
    # without a fundamental, detuned, with vibrato, under noise: still the pitch that was asked for
    random = np.random.default_rng(0)
    for change in (
        lambda pitch: buzz(pitch, partials=range(2, 9)),
        lambda pitch: buzz(pitch) + buzz(pitch + 0.15),
        lambda pitch: buzz(pitch) + 0.1 * random.standard_normal(64000).astype(np.float32),
    ):
        assert tuning.octave_of({pitch: change(pitch) for pitch in probes}) == 0
    # noise, silence, a fourth off
    for wave in (random.standard_normal(64000).astype(np.float32), np.zeros(64000, np.float32)):
        assert tuning.octave_of(dict.fromkeys(probes, wave)) is None
    assert tuning.octave_of({pitch: buzz(pitch + 5) for pitch in probes}) is None
