"""``gansynth render``: in tune, in time, through the voices; ``batch`` and ``note --phase``."""

import json
import time

import numpy as np
import pytest
import soundfile
import torch

import gansynth_server as gs
from gansynth_server import UserError, cli
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.vectors import slerp
from gansynth_server.offline import level, midi_render, midi_timbres
from gansynth_server.offline.midi_file import MidiNote
from gansynth_server.render.backends.base import BackendInfo
from gansynth_server.render.model import Model
from gansynth_server.spectral import phase, transform
from tests.support.midi_song import seconds, write

RATE = 48000
PRESETS = ["marimba", "xylophone", "vibraphone", "celesta"]
# four tracks in turn, each note over before the next one, on uneven beats
BEATS = [0.5 + n * 1.37 for n in range(14)]
PITCHES = [60, 72, 64, 76, 60, 79, 67, 84, 48, 72, 64, 76, 67, 79]


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    events = [(b, 0.5, p, 100) for b, p in zip(BEATS, PITCHES, strict=True)]
    tracks = [(k, events[k::4]) for k in range(4)]
    tracks.append((9, [(float(b), 0.2, 38, 127) for b in range(16)]))
    return write(tmp_path_factory.mktemp("song") / "song.mid", tracks)


@pytest.fixture(scope="module")
def rendered(song):
    out = song.with_suffix(".wav")
    begun = time.perf_counter()
    arguments = ["--preset", *PRESETS, "--timbre-per-track", "--pan-per-track"]
    cli.main(["render", str(song), "-o", str(out), *arguments])
    sound, rate = soundfile.read(out, dtype="float32")
    took = time.perf_counter() - begun
    print(f"\n{len(sound) / rate / took:.1f} × real time with loading")
    assert rate == RATE
    return sound


def play(model, notes, rate=RATE, pan=False, presets=("marimba",)):
    """A list of notes as float32 [channels, frames], one preset per track."""
    latents = midi_timbres.per_track(notes, model.prior, [model.preset(p) for p in presets], 0)
    return np.concatenate(list(midi_render.render(model, notes, latents, rate, pan)), axis=1)


def note(start, end, pitch=60, velocity=100, track=0, channel=0):
    return MidiNote(track, channel, 0, pitch, velocity, start, end)


def fundamental(sound, rate, pitch):
    """Cents from the equal-tempered pitch to the strongest partial near it."""
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 19))
    axis = np.fft.rfftfreq(1 << 19, 1 / rate)
    near = (axis > hertz * 0.94) & (axis < hertz * 1.06)
    return 1200 * np.log2(axis[near][spectrum[near].argmax()] / hertz)


def test_in_time(rendered):
    late = []
    for beat in BEATS:
        at = round(seconds(beat) * RATE)
        part = np.abs(rendered[at - 480 : at + RATE // 4]).sum(axis=1)
        late.append((np.argmax(part > 0.01 * part.max()) - 480) / RATE * 1000)
    print("onsets after the written time, ms:", np.round(late, 2))
    assert all(0 <= ms < 5 for ms in late)


def test_in_tune(rendered):
    off = []
    for beat, pitch in zip(BEATS, PITCHES, strict=True):
        at = round((seconds(beat) + 0.02) * RATE)
        off.append(fundamental(rendered[at : at + RATE // 4].sum(axis=1), RATE, pitch))
    print("cents off:", np.round(off, 1))
    assert np.abs(off).max() < 15


def test_pan_spreads_the_tracks_and_drums_are_left_out(rendered):
    for n, beat in enumerate(BEATS):
        at = round(seconds(beat) * RATE)
        left, right = np.abs(rendered[at + 480 : at + RATE // 4]).max(axis=0)
        angle = np.degrees(np.arctan2(right, left))
        assert angle == pytest.approx(30 * (n % 4), abs=0.01)  # nothing else sounds, so no drum
    end = seconds(BEATS[-1] + 0.5) + 0.3
    assert len(rendered) == pytest.approx(end * RATE, abs=1)


def test_true_peak_is_minus_one_decibel(rendered):
    peak = level.TruePeak(2)
    peak.add(rendered.T)
    assert 20 * np.log10(peak.end()) == pytest.approx(-1, abs=0.02)


def test_a_note_is_the_live_note_at_its_very_sample(model):
    live = model.generate(64, model.preset("marimba"), 0, 1.3, 70, RATE).audio
    sound = play(model, [note(0.3333, 1.3333, 64, 70)])[0]
    at = round(0.3333 * RATE)
    assert not sound[: at + 1].any()
    assert np.abs(sound[at : at + len(live)] - live).max() < 1e-6


@pytest.fixture
def counting(model):
    """A model that notes how many spectra it was asked for at once."""

    class Counting:
        info = BackendInfo("counting", batch=4)

        def __init__(self):
            self.calls = []

        def frames(self, z, labels, window):
            self.calls.append(len(z))
            return model.backend.frames(z, labels, window)

    return Model(model.checkpoint, Counting())


def test_equal_notes_render_once_in_batches(model, counting):
    notes = [note(0.2 * n, 0.2 * n + 0.1, 60 + n % 5) for n in range(20)]
    z = np.tile(model.preset("marimba"), (20, 1))
    list(midi_render.render(counting, notes, z, 16000))
    assert counting.backend.calls == [4, 1]


def test_a_long_song_is_rendered_as_it_is_played(model, counting):
    notes = [note(n, n + 0.1, 36 + n % 48) for n in range(1000)]
    blocks = midi_render.render(counting, notes, np.zeros((1000, 256), np.float32), 16000)
    assert next(blocks).shape[1] <= 1024
    assert sum(counting.backend.calls) == 48  # those of the first notes, each once


def test_long_notes_are_held(model):
    sound = play(model, [note(0, 7, 60)], presets=["string_ensemble_1"], rate=16000)[0]
    level = [np.sqrt(np.mean(sound[16000 * s : 16000 * (s + 1)] ** 2)) for s in range(7)]
    assert min(level[4:]) > 0.3 * level[1]
    assert len(sound) == round(7.3 * 16000) and np.abs(sound[-16:]).max() < 1e-3


@pytest.mark.parametrize("rate", [16000, 44100, 22050])
def test_any_rate(model, rate):
    sound = play(model, [note(0.5, 1.5, 69)], rate, presets=["clarinet"])[0]
    assert len(sound) == pytest.approx(1.8 * rate, abs=1)
    assert abs(fundamental(sound[round(0.6 * rate) : round(1.4 * rate)], rate, 69)) < 10
    assert np.argmax(np.abs(sound) > 0.01 * np.abs(sound).max()) / rate == pytest.approx(
        0.5,
        abs=0.01,  # a clarinet takes some milliseconds to 1 %
    )


def test_only_the_first_track_is_left(model):
    sound = play(model, [note(0, 0.1), note(0.5, 0.6, track=1)], 16000, pan=True)
    left, right = sound
    assert left[:8000].any() and not right[:8000].any()
    assert right[8000:].any() and not left[8000:].any()
    left, right = play(model, [note(0, 0.1)], 16000, pan=True)
    assert left.any() and np.array_equal(left, right)  # one alone is in the middle


def test_pitches_are_moved_by_octaves(model):
    notes, moved = midi_render.choose(
        [note(0, 1, p) for p in (21, 60, 90, 127)], model.pitches, False
    )
    assert [n.pitch for n in notes] == [33, 60, 78, 79] and moved == 3


def test_drums_are_played_when_asked_for(model):
    drum, tone = note(0, 1, 38, channel=9), note(1, 2)
    assert midi_render.choose([drum, tone], model.pitches, False)[0] == [tone]
    assert midi_render.choose([drum, tone], model.pitches, True)[0] == [drum, tone]
    with pytest.raises(UserError, match="--drums"):
        midi_render.choose([drum], model.pitches, False)
    with pytest.raises(UserError, match="60"):
        midi_render.choose([note(0, 4000)], model.pitches, False)


def test_timbres_over_time(model):
    a, b = (model.preset(name) for name in ("flute", "oboe"))
    notes = [note(t, t + 1) for t in (0.0, 0.1, 3.0, 6.0, 12.0, 17.9)]
    z = midi_timbres.over_time(notes, Prior(256), 6.0, [a, b], 0)
    assert np.allclose(z[[0, 1, 3, 4]], [a, a, b, a], atol=1e-6)
    assert np.allclose(z[2], slerp(a, b, 0.5))
    random = midi_timbres.over_time(notes, Prior(256), 6.0, [], 5)
    assert np.array_equal(random, midi_timbres.over_time(notes, Prior(256), 6.0, [], 5))
    assert not np.array_equal(random, midi_timbres.over_time(notes, Prior(256), 6.0, [], 6))
    tracks = [note(0, 1, track=t) for t in (2, 1, 2, 3)]
    assert np.array_equal(midi_timbres.per_track(tracks, Prior(256), [a, b], 0), [b, a, b, a])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_short_clip_out_of_range_in_each_format(tmp_path, capsys, suffix):
    song = write(tmp_path / "a.mid", [(0, [(0, 0.01, 100, 1)])])
    out = tmp_path / f"a.{suffix}"
    cli.main(["render", str(song), "-o", str(out), "--rate", "44100"])
    info = soundfile.info(out)
    assert (info.samplerate, info.channels) == (44100, 1)
    assert info.frames == pytest.approx(0.310 * 44100, abs=1)
    said = capsys.readouterr()
    assert said.err.count("octaves") == 1 and "real time" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "8000"], "16000"),
        (["--secs-per-instrument", "0"], "secs-per-instrument"),
        (["--seed", "-1"], "seed"),
        (["--preset", "kazoo"], "kazoo"),
        (["--magenta", "--drums"], "--magenta"),
        (["--magenta", "--rate", "48000"], "--magenta"),
        (["-o", "a.xyz"], ".flac"),
        (["-o", "nowhere/a.wav"], "nowhere"),
    ],
)
def test_what_cannot_be_says_so(song, tmp_path, arguments, words):
    out = [] if "-o" in arguments else ["-o", str(tmp_path / "x.wav")]
    with pytest.raises(SystemExit) as exit_:
        cli.main(["render", str(song), *out, *arguments])
    assert words in str(exit_.value.code) and "\n" not in str(exit_.value.code)


def test_batch(tmp_path, model):
    out = tmp_path / "many"
    cli.main(f"batch -o {out} --count 2 --pitches 48 60.5 --duration 0.5 --sheet".split())
    index = json.loads((out / "index.json").read_text())
    assert [(e["file"], e["pitch"], e["seed"]) for e in index] == [
        ("seed0_p48.wav", 48, 0),
        ("seed0_p60.5.wav", 60.5, 0),
        ("seed1_p48.wav", 48, 1),
        ("seed1_p60.5.wav", 60.5, 1),
    ]
    sound, rate = soundfile.read(out / "seed1_p48.wav", dtype="float32")
    alone = model.generate(48, seed=1, duration=0.5).audio
    assert np.abs(sound - alone).max() <= 1e-5  # in a batch sums round in another order
    assert rate == index[0]["rate"] == 16000 and index[0]["seconds"] == 0.5
    assert (out / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_batch_of_listed_latents(tmp_path, model):
    named = {"../odd name": model.preset("flute").tolist()}
    (tmp_path / "z.json").write_text(json.dumps(named))
    np.save(tmp_path / "z.npy", np.zeros((1, 256), np.float32))
    np.save(tmp_path / "bad.npy", np.zeros((1, 3)))
    for file, name in (("z.json", "_odd_name_p60.flac"), ("z.npy", "latent000_p60.flac")):
        out = tmp_path / "out"
        rest = ["--pitches", "60", "--duration", "0.2", "--format", "flac", "--rate", "48000"]
        cli.main(["batch", "-o", str(out), "--latents", str(tmp_path / file), *rest])
        assert soundfile.info(out / name).samplerate == 48000
    for file in ("bad.npy", "none.npy"):
        with pytest.raises(SystemExit, match=file):
            cli.main(["batch", "-o", str(tmp_path), "--latents", str(tmp_path / file)])


def test_phases(model):
    (spectrum,) = model.backend.render(model.preset("flute")[None], np.array([36]))
    target = torch.from_numpy(spectrum.magnitude)
    error = {}
    for method in phase.METHODS:
        other = phase.with_phase(spectrum, method)
        assert np.array_equal(other.magnitude, spectrum.magnitude)
        made = transform.stft(phase.wave(other)[None])[0].abs()
        error[method] = float((made - target).norm() / target.norm())
    print("spectral convergence:", error)
    assert phase.with_phase(spectrum, "if") is spectrum
    assert error["griffinlim"] < 0.5 * error["random"]


def test_note_with_other_phases(tmp_path):
    sounds = {}
    picture = tmp_path / "phases.png"
    for method, more in (("if", []), ("random", ["--spectrogram", str(picture)])):
        out = tmp_path / f"{method}.wav"
        arguments = ["--preset", "flute", "--phase", method, "--rate", "48000", *more]
        cli.main(["note", "60.25", "-o", str(out), *arguments])
        sounds[method] = soundfile.read(out)[0]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert all(len(sound) == 4 * RATE and np.isfinite(sound).all() for sound in sounds.values())
    assert np.abs(sounds["if"] - sounds["random"]).max() > 0.01
