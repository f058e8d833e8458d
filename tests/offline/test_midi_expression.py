"""Programs, controllers, bends and drums of MIDI files, as they sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import gansynth_server as gs
from gansynth_server import cli
from gansynth_server.offline import midi_render, midi_timbres
from gansynth_server.offline.midi_columns import MidiNote
from gansynth_server.offline.midi_expression import FileExpression
from gansynth_server.offline.midi_file import parse
from tests.support.midi_bytes import control, event, off, on, song, track

RATE = 16000


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


def play(model, *tracks, pan=False, preset="string_ensemble_1"):
    """A song, float32 [channels, frames]."""
    found = parse(song(*tracks))
    notes, _ = midi_render.choose(found.notes, model.pitches, False)
    latents = [model.preset(preset)] * len(notes)
    blocks = midi_render.render(model, notes, latents, RATE, pan, controls=found.controls)
    return np.concatenate(list(blocks), axis=1)


def level(sound, begin=0.2, end=0.9):
    part = sound[..., round(begin * RATE) : round(end * RATE)]
    return float(np.sqrt(np.mean(part**2)))


def pitch(sound, begin, end, near=60.0):
    """The pitch nearest to one, of the strongest partial there."""
    part = sound[round(begin * RATE) : round(end * RATE)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 18))
    axis = np.fft.rfftfreq(1 << 18, 1 / RATE)
    hertz = 440 * 2 ** ((near - 69) / 12)
    close = (axis > hertz * 0.93) & (axis < hertz * 1.07)
    return 69 + 12 * np.log2(axis[close][spectrum[close].argmax()] / 440)


NOTE = (on(0), off(1000))


@pytest.fixture(scope="module")
def plain(model):
    return play(model, track(*NOTE))


@pytest.mark.parametrize("controller", [7, 11])
@pytest.mark.parametrize("value", [127, 90, 64, 1, 0])
def test_volume_and_expression(model, plain, controller, value):
    sound = play(model, track(control(0, controller, value), *NOTE))
    assert sound.shape == plain.shape
    assert level(sound) == pytest.approx(level(plain) * (value / 127) ** 2, rel=1e-3, abs=1e-9)


def test_volume_and_expression_multiply_and_change_within_a_note(model, plain):
    sound = play(model, track(control(0, 7, 64), control(0, 11, 64), *NOTE))
    assert level(sound) == pytest.approx(level(plain) * (64 / 127) ** 4, rel=1e-3)
    sound = play(model, track(on(0), control(500, 7, 40), off(500)))
    gain = (100 / 127) ** 2  # General MIDI's, where another is set later
    assert level(sound, 0.1, 0.49) == pytest.approx(gain * level(plain, 0.1, 0.49), rel=1e-3)
    later = (40 / 127) ** 2
    assert level(sound, 0.55, 0.9) == pytest.approx(later * level(plain, 0.55, 0.9), rel=1e-3)


def test_a_channel_without_volume_has_that_of_general_midi(model):
    sound = play(model, track(control(0, 7, 100), *NOTE), track(on(1500, 60, 100, 1)))
    quiet = sound[:, round(1.5 * RATE) :]
    assert level(quiet, 0.1, 0.4) == pytest.approx(level(sound, 0.1, 0.4), rel=0.02)


def test_pan(model, plain):
    left, right = play(model, track(control(0, 10, 0), *NOTE))
    assert not right.any() and level(left) > level(plain)
    left, right = play(model, track(control(0, 10, 127), *NOTE))
    assert not left.any() and right.any()
    left, right = play(model, track(on(0), control(500, 10, 0), off(500)))
    assert level(left, 0.1, 0.45) == pytest.approx(level(right, 0.1, 0.45), rel=1e-5)
    assert not right[round(0.6 * RATE) : round(0.9 * RATE)].any()
    assert len(play(model, track(control(0, 10, 64), *NOTE))) == 1
    # spreading the tracks takes the place of it
    left, right = play(model, track(control(0, 10, 0), *NOTE), pan=True)
    assert np.array_equal(left, right)


def bend(ticks, value, channel=0):
    value += 8192
    return event(ticks, 0xE0 | channel, value & 127, value >> 7)


def rpn(low, value, high=0):
    return control(0, 101, high) + control(0, 100, low) + control(0, 6, value)


@pytest.mark.parametrize(
    ("before", "semitones"),
    [
        (bend(0, 8191), 2),
        (bend(0, -8192), -2),
        (bend(0, 4096), 1),
        (bend(0, 8191, 1), 0),  # of another channel
        (rpn(0, 12) + bend(0, 683), 1),
        (rpn(0, 1) + control(0, 38, 50) + bend(0, 8191), 1.5),
        (rpn(2, 65), 1),  # coarse tuning
        (rpn(1, 96), 0.5),  # fine tuning
        # a maker's own parameter is not the bend's range
        (control(0, 101, 0) + control(0, 100, 0) + control(0, 99, 1) + control(0, 6, 24)
         + bend(0, 8191), 2),
    ],
)  # fmt: skip
def test_bends(model, before, semitones):
    sound = play(model, track(before, *NOTE))[0]
    assert pitch(sound, 0.2, 0.9, 60 + semitones) == pytest.approx(60 + semitones, abs=0.06)


def test_a_bend_within_a_note(model):
    sound = play(model, track(on(0), bend(500, 8191), off(500)))[0]
    assert pitch(sound, 0.1, 0.49) == pytest.approx(60, abs=0.1)
    assert pitch(sound, 0.55, 0.95, 62) == pytest.approx(62, abs=0.1)


def test_resetting_the_controllers(model, plain):
    sound = play(model, track(bend(0, 8191), control(0, 11, 20), control(0, 121, 0), *NOTE))
    assert np.abs(sound - plain).max() < 1e-6


def test_the_pedal_is_heard(model, plain):
    held = play(model, track(control(0, 64, 127), on(0), off(100), control(900, 64, 0)))
    assert np.abs(held - plain).max() < 1e-6


def test_all_sound_off_ends_without_a_release(model):
    sound = play(model, track(on(0), control(500, 120, 0)))[0]
    assert not sound[round(0.52 * RATE) :].any()


def test_channel_and_key_pressure_and_what_a_file_cannot_do(model, plain):
    both = play(model, track(event(0, 0xD0, 127), *NOTE))
    assert level(both) == pytest.approx(level(plain) * 10 ** (6 / 20), rel=1e-3)
    keys = track(on(0), event(0, 0xA0, 60, 127), event(0, 0xA0, 61, 0), off(1000))
    assert level(play(model, keys)) == pytest.approx(level(both), rel=0.02)
    # principal directions and unknown controllers change nothing
    sound = play(model, track(control(0, 20, 127), control(0, 3, 9), *NOTE))
    assert np.array_equal(sound, plain)


def test_a_dense_file_is_posted_in_parts(model):
    bends = [bend(1 if n % 10 == 0 else 0, (n % 64) * 8) for n in range(9000)]
    sound = play(model, track(on(0), *bends, off(100)))
    assert np.isfinite(sound).all() and sound.any()


def test_zones_of_mpe():
    expression = FileExpression(())
    found = parse(song(track(rpn(6, 4), bend(0, 8191, 2), bend(0, 8191), on(0, 60, 9, 2), on(9))))
    for one in found.controls:
        expression.apply(one)
    bends = {n.channel: expression.of(n).get("bend") for n in found.notes}
    assert bends == {2: 50.0, 0: 2.0}


# programs


def test_programs_are_presets(model):
    notes = [MidiNote(0, 0, program, 60, 100, 0.0, 1.0) for program in (0, 40, 31, 97, 127)]
    others = np.zeros((5, model.latent_size), np.float32)
    latents, without = midi_timbres.by_program(notes, model.presets, others)
    assert np.array_equal(latents[0], model.preset("acoustic_grand_piano"))
    assert np.array_equal(latents[1], model.preset("violin"))
    assert np.array_equal(latents[2], model.preset("acoustic_guitar_nylon"))  # of its family
    assert without == [97, 127] and not latents[3].any()


def rendered(tmp_path: Path, data: bytes, *more: str) -> np.ndarray:
    path, out = tmp_path / "song.mid", tmp_path / "song.wav"
    path.write_bytes(data)
    cli.main(["render", str(path), "-o", str(out), "--rate", str(RATE), *more])
    return soundfile.read(out, dtype="float32")[0]


def test_programs_are_played_unless_told_otherwise(tmp_path):
    data = song(track(event(0, 0xC0, 73), *NOTE))
    flute = rendered(tmp_path, song(track(*NOTE)), "--preset", "flute")
    assert np.array_equal(rendered(tmp_path, data), flute)
    for more in (["--preset", "violin"], ["--seed", "3"], ["--secs-per-instrument", "6"]):
        other = rendered(tmp_path, data, *more)
        assert np.array_equal(other, rendered(tmp_path, song(track(*NOTE)), *more))
        assert not np.array_equal(other, flute)


def test_drums_by_a_checkpoint_for_drums(tmp_path, monkeypatch, model):
    from gansynth_server import api
    from gansynth_server.model import checkpoint

    known = checkpoint.available()
    folders = {**known, "drum_kits": known["all_instruments"]}
    monkeypatch.setattr(checkpoint, "available", lambda: folders)
    asked, load = [], api.load

    def stand_in(name: str):
        asked.append(name)
        return load("all_instruments")

    monkeypatch.setattr(api, "load", stand_in)
    hits = on(0, 36, channel=9), off(500, 36, channel=9), on(0, 24, 9, 9)
    drums = track(event(0, 0xC9, 1), *hits)
    sound = rendered(tmp_path, song(drums))
    assert asked == ["all_instruments", "drum_kits"]
    expected = rendered(tmp_path, song(track(on(0, 36), off(500, 36), on(0, 24, 9))),
                        "--preset", "bright_acoustic_piano")  # fmt: skip
    assert np.abs(sound - expected).max() < 1e-6


# stems


def test_stems_add_up_to_the_song(tmp_path, capsys):
    tracks = (
        track(event(0, 0xC0, 73), control(0, 10, 30), on(0), off(500)),
        track(event(0, 0xC1, 40), on(200, 64, channel=1), off(900, 64, channel=1)),
    )
    whole = rendered(tmp_path, song(*tracks))
    mix = rendered(tmp_path, song(*tracks), "--stems")
    assert np.abs(mix - whole).max() < 1e-5
    names = sorted(path.name for path in tmp_path.glob("song_*.wav"))
    assert names == ["song_track01_channel01.wav", "song_track02_channel02.wav"]
    parts = [soundfile.read(tmp_path / name, dtype="float32")[0] for name in names]
    assert all(part.shape == mix.shape and part.any() for part in parts)
    assert np.abs(sum(parts) - mix).max() < 1e-5
    assert not parts[1][: round(0.19 * RATE)].any()
    told = capsys.readouterr().out
    assert all(name in told for name in names)
