"""Lines that become the instrument's: how much of them survives, and what is written of them.

``pytest -s tests/offline/test_transfer.py`` prints the figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gansynth_server import cli
from gansynth_server.analysis import segmentation
from gansynth_server.analysis.line_features import brightness
from gansynth_server.analysis.pitch_track import track
from gansynth_server.errors import UserError
from gansynth_server.offline import transfer
from gansynth_server.offline.score_file import read
from gansynth_server.render.models import Models
from tests.analysis.test_pitch_track import heard_pitch
from tests.support import lines
from tests.support.line_figures import Figures, figures
from tests.support.lines import Line
from tests.support.scores import sound
from tests.support.training_runs import soundfont_file

RATE = 16000
OWN = {line.name: line for line in lines.own()}
SOME = ("vibrato", "portamento", "breaths")
MELODIES = (("violin", "voice/ode_to_joy"), ("flute", "trumpet/minuet_in_g"))
MELODIES += (("marimba", "flute/auld_lang_syne"),)


def transferred(folder: Path, line: Line, *flags: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the command makes of a line, at 16 kHz."""
    soundfile.write(folder / "line.wav", line.sound, RATE, "FLOAT")
    out = folder / "out.wav"
    cli.main(
        ["transfer", str(folder / "line.wav"), "-o", str(out), "--rate", str(RATE), *flags],
    )
    made, rate = soundfile.read(out, dtype="float32")
    assert rate == RATE
    assert len(made) == pytest.approx(len(line.sound) + RATE // 2, abs=2)
    return np.asarray(made[: len(line.sound)], np.float32)


def check(found: Figures) -> None:
    assert np.nanmedian(found.cents) <= 10
    assert np.mean(found.cents <= 50) >= 0.95
    assert not found.spurious
    assert np.abs(found.depth - 1).max(initial=0) <= 0.15
    assert np.abs(found.rate - 1).max(initial=0) <= 0.15


@pytest.mark.parametrize("name", SOME)
def test_a_line_of_sines_survives(tmp_path: Path, name: str) -> None:
    line = OWN[name]
    made = transferred(tmp_path, line, "--preset", "violin")
    found = figures(line, heard_pitch(transfer.hear(made)), made)
    print(f"\n{name}: {found}")
    check(found)
    assert found.loudness.min() >= 0.9, "hardly anything but beginnings and ends"


def test_melodies_survive(tmp_path: Path) -> None:
    melodies = {line.name: line for line in lines.played(soundfont_file())}
    parts = []
    for preset, name in MELODIES:
        made = transferred(tmp_path, melodies[name], "--preset", preset)
        parts.append(figures(melodies[name], heard_pitch(transfer.hear(made)), made))
        print(f"\n{name} by {preset}: {parts[-1]}", end="")
    found = Figures.together(parts)
    print(f"\nall: {found}")
    check(found)
    assert np.mean(found.cents <= 50) >= 0.97
    assert found.loudness.min() >= 0.95


def test_rests_are_silent(tmp_path: Path) -> None:
    line = OWN["breaths"]
    made = transferred(tmp_path, line, "--preset", "flute")
    for begin, end in ((0.9, 1.15), (2.0, 2.25)):
        rest = made[round(begin * RATE) : round(end * RATE)]
        assert np.abs(rest).max() < np.abs(made).max() / 300, "a breath is not played"


def test_the_score_is_what_sounds(tmp_path: Path) -> None:
    line = OWN["slurs"]
    score = tmp_path / "line.jsonl"
    made = transferred(tmp_path, line, "--preset", "violin", "--score", str(score))
    told = [json.loads(text) for text in score.read_text().splitlines()]
    assert told[0]["setting"]["checkpoint"] == "all_instruments"
    notes = [each for each in told[1:] if each["message"][0] == "/note"]
    assert 2 <= len(notes) <= 5
    again = sound(score, Models())[0]
    assert len(read(score)[1]) == len(told) - 1
    at = int(np.argmax(np.correlate(again, made[: RATE // 2], "valid")))
    assert np.abs(again[at : at + len(made) // 2] - made[: len(made) // 2]).max() < 1e-6
    messages = len(told) / line.seconds
    assert messages < 150, "straight lines, not frames"


def test_a_latent_of_a_file_is_played(tmp_path: Path) -> None:
    z = np.random.default_rng(3).standard_normal(256).astype(np.float32)
    np.save(tmp_path / "z.npy", z)
    line = OWN["slurs"]
    one = transferred(tmp_path, line, "--slot", str(tmp_path / "z.npy"))
    other = transferred(tmp_path, line, "--seed", "5")
    assert np.abs(one - other).max() > 0.01


def test_a_timbre_moves_with_the_lines_brightness(tmp_path: Path) -> None:
    """A line that goes from dark to bright and back at one pitch."""
    at = np.arange(2 * RATE) / RATE
    share = 0.5 - 0.5 * np.cos(np.pi * at)
    slopes = [n ** -(3 - 2.5 * share) for n in range(1, 25)]
    turns = [np.sin(2 * np.pi * 262 * n * at) for n in range(1, 25)]
    tone = np.sum(np.array(slopes) * turns, axis=0)
    tone *= 0.2 / np.sqrt(np.convolve(tone**2, np.ones(800) / 800, "same") + 1e-4)
    line = Line("brighter", tone.astype(np.float32), np.full(2000, 262.0), ((0.0, 2.0),))
    hertz = np.full(401, 262.0)
    wanted = brightness(line.sound, hertz)[40:-40]
    found = {}
    for timbre in ("keep", "match"):
        made = transferred(tmp_path, line, "--preset", "flute", "--timbre", timbre)
        came = brightness(made, hertz)[40:-40]
        found[timbre] = float(np.corrcoef(wanted, came)[0, 1])
    print(f"\ncorrelation of brightness: {found}")
    assert found["match"] >= 0.7 > abs(found["keep"])


def test_claps_are_left_out_or_played_by_drums(
    tmp_path: Path, tiny: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    claps = np.zeros(2 * RATE, np.float32)
    for begin in (0.5, 1.0, 1.5):
        first = round(begin * RATE)
        claps[first : first + 1600] = 0.3 * rng.standard_normal(1600) * np.linspace(1, 0, 1600)
    line = Line("claps", claps, np.full(2000, np.nan), ())
    assert not np.abs(transferred(tmp_path, line)).any()
    with pytest.raises(SystemExit, match="drum_kits"):
        transferred(tmp_path, line, "--drums")
    monkeypatch.setattr(transfer, "DRUM_CHECKPOINT", "all_instruments")
    score = tmp_path / "drums.jsonl"
    made = transferred(tmp_path, line, "--drums", "--score", str(score))
    _, events = read(score)
    struck = [event for event in events if event.message.address == "/note"]
    assert [event.time for event in struck] == pytest.approx([0.5, 1.0, 1.5], abs=0.02)
    assert {event.client for event in struck} == {transfer.DRUM_CLIENT}
    assert np.abs(made).max() > 1e-4


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--preset", "kazoo"], "kazoo"),
        (["--preset", "flute", "--slot", "z.npy"], "either --preset or --slot"),
        (["--slot", "nowhere.npy"], "cannot read"),
        (["--score", "line.txt"], ".jsonl"),
        (["--rate", "100"], "16000"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, flags: list[str], said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        transferred(tmp_path, OWN["slurs"], *flags)


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "line.wav").write_text("la la la")
    with pytest.raises(SystemExit, match=r"line\.wav cannot be read"):
        cli.main(["transfer", str(tmp_path / "line.wav"), "-o", str(tmp_path / "out.wav")])
    with pytest.raises(SystemExit, match=r"nowhere\.wav cannot be read"):
        cli.main(["transfer", str(tmp_path / "nowhere.wav"), "-o", str(tmp_path / "out.wav")])


def test_silence_is_refused() -> None:
    with pytest.raises(UserError, match="nothing is heard"):
        transfer.hear(np.zeros(RATE, np.float32))


@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.1])
def test_break_points_keep_to_their_tolerance(tolerance: float) -> None:
    values = np.cumsum(np.random.default_rng(1).standard_normal(500)) * 0.01
    values[200] += 3
    chosen = transfer.break_points(values, tolerance)
    assert (chosen[0], chosen[-1]) == (0, 499)
    assert (
        np.abs(np.interp(np.arange(500), chosen, values[chosen]) - values).max() <= tolerance + 1e-9
    )
    assert transfer.break_points(np.linspace(0, 1, 100), tolerance) == [0, 99]
    assert transfer.break_points(values[:1], tolerance) == [0]
    assert max(np.diff(transfer.break_points(np.zeros(20_000), tolerance))) <= 4000, "20 s"


def test_other_rates_are_read(tmp_path: Path) -> None:
    at = np.arange(44100) / 44100
    soundfile.write(tmp_path / "a.wav", np.stack([np.sin(2 * np.pi * 330 * at)] * 2, 1), 44100)
    heard = track(segmentation.load(tmp_path / "a.wav"))
    assert np.median(heard.hertz[20:-20]) == pytest.approx(330, rel=1e-3)
