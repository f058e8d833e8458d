"""``gansynth dataset``: notes of soundfonts, of NSynth and of recordings, and their folders."""

import functools
import json
import resource
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from gansynth_server import UserError, cli
from gansynth_server.analysis import file_names, segmentation
from gansynth_server.cli.dataset import numbers
from gansynth_server.training.dataset import Dataset, Note, Writer, split_of
from gansynth_server.training.sources import folder, nsynth, selection, soundfont
from gansynth_server.util import general_midi
from gansynth_server.util.general_midi import GENERAL_MIDI
from tests.support.training_runs import interrupted_after, soundfont_file

RATE = 16000
PITCHES = (57, 69)
PROGRAMS = (0, 16, 56, 73)
INSTRUMENTS = ("acoustic_grand_piano", "drawbar_organ", "trumpet", "flute")
FILES = ("notes.s16", "index.json")


@pytest.fixture(scope="module")
def font():
    """The soundfont's path; its seconds of unpacking are spent once."""
    path = soundfont_file()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soundfont, "_synth", functools.cache(soundfont._synth))
        yield path


@pytest.fixture(scope="module")
def data(font, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "notes"
    return soundfont.render([font], out, pitches=PITCHES, programs=PROGRAMS)


def wave_of(data, instrument, pitch):
    (row,) = (r for r, n in enumerate(data.notes) if (n.instrument, n.pitch) == (instrument, pitch))
    return data.audio([row])[0].numpy()


def tone(pitch, seconds, rate=RATE, decay=2.0):
    """A plucked string: eight partials that die away."""
    time = np.arange(round(seconds * rate)) / rate
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    partials = (np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 9) if k * hertz < 7000)
    return 0.3 * sum(partials) * np.exp(-decay * time)


def cents_off(wave, pitch):
    """Cents from a pitch to the period at which the second half second is most like itself."""
    part = wave[RATE // 2 : RATE].astype(np.float64)
    # lags in steps of a 16th of a sample
    fine = np.fft.irfft(np.abs(np.fft.rfft(part, 1 << 15)) ** 2, 1 << 19)
    period = 16 * RATE / (440 * 2 ** ((pitch - 69) / 12))
    low, high = round(period * 0.75), round(period * 1.4)
    return 1200 * np.log2(period / (low + fine[low:high].argmax()))


def same_files(a, b):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in FILES)


# soundfonts


def test_rendered_notes_are_what_the_index_says(data):
    assert [(n.instrument, n.pitch) for n in data.notes] == [
        (name, pitch) for name in INSTRUMENTS for pitch in PITCHES
    ]
    assert [n.family for n in data.notes[::2]] == ["piano", "organ", "brass", "pipe"]
    assert [n.source for n in data.notes[::2]] == ["acoustic", "electronic", *2 * ["acoustic"]]
    assert list(data.rows(source="electronic")) == [2, 3]
    waves = data.audio(slice(None)).numpy()
    assert waves.shape == (8, 64000)
    assert np.allclose(np.abs(waves).max(axis=1), 0.5, atol=1e-4)
    for wave, note in zip(waves, data.notes, strict=True):
        if note.instrument != "drawbar_organ":  # it sounds an octave of stops
            assert abs(cents_off(wave, note.pitch)) < 20
    level = np.sqrt((waves.reshape(8, 80, 800) ** 2).mean(axis=2))
    assert level[0, 50] < 0.5 * level[0, 2] and level[2, 50] > 0.5 * level[2, 10]
    assert (level[2:, 75] < 0.5 * level[2:, 55]).all()  # let go after 3 s


def test_soundfont_says_its_authors_and_licence(data, font):
    assert "Frank Wen" in json.dumps(data.about["soundfonts"])
    assert "MIT" in data.about["licence"] and data.about["soundfonts"][0]["file"] == font.name


def test_interrupted_rendering_goes_on_to_the_same_bytes(font, data, tmp_path, monkeypatch, capsys):
    arguments = ["dataset", "soundfont", str(font), "-o", str(tmp_path)]
    arguments += ["--pitches", "57", "69", "--programs", "0,16", "56", "73"]
    with interrupted_after(3), pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == 130 and "goes on" in capsys.readouterr().err
    with pytest.raises(UserError, match="no finished data set"):
        Dataset.open(tmp_path)
    rendered = []
    with monkeypatch.context() as patch:
        plain = soundfont._render
        patch.setattr(soundfont, "_render", lambda *a: rendered.append(a) or plain(*a))
        cli.main(arguments)
    assert len(rendered) == 5 and same_files(tmp_path, data.folder)
    said = capsys.readouterr().out
    assert "organ" in said and "57–69" in said and "contact_sheet.png" in said
    assert (tmp_path / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")


def test_two_soundfonts_velocities_banks_and_kinds(font, tmp_path):
    (tmp_path / "other.sf3").symlink_to(font)
    made = soundfont.render(
        [font, tmp_path / "other.sf3"],
        tmp_path / "out",
        pitches=(60,),
        velocities=(30, 110),
        banks=(0, 8),
        programs=(0, 4, 16, 73, 80),
        source="electronic",
    )
    # bank 8 of this one has a second electric piano and organ; General MIDI's names are for the
    # first font's bank 0, all others are the fonts' own
    assert made.instruments == (
        *("electric_piano_1", "drawbar_organ", "detuned_ep_1", "detuned_organ_1"),
        *("rhodes_ep", "drawbarorgan", "detuned_ep_1@other", "detuned_organ_1@other"),
    )
    assert made.source_of("drawbar_organ")["file"] == font.name
    assert made.source_of("drawbarorgan")["file"] == "other.sf3"
    assert all("MIT" in source["licence"] for source in made.sources)
    assert {n.source for n in made.notes} == {"electronic"}
    assert [n.velocity for n in made.notes] == 8 * [30, 110]
    waves = made.audio(slice(None)).numpy()
    assert np.array_equal(waves[:8], waves[8:])
    assert not np.array_equal(waves[0], waves[1])


def test_velocities_that_sound_alike_and_pitches_that_are_not_drawn_are_left_out(font, tmp_path):
    pitches = range(48, 73)
    made = soundfont.render(
        [font],
        tmp_path,
        pitches=pitches,
        velocities=(40, 100, 120),
        programs=(0, 16),
        pitch_share=0.2,
        velocity_step=1.5,
    )
    drawn = {
        name: sorted({n.pitch for n in made.notes if n.instrument == name})
        for name in INSTRUMENTS[:2]
    }
    # the same on every machine, others for each instrument, and C3, C4 and C5 always
    assert drawn == {
        name: list(selection.some_pitches(name, pitches, 0.2)) for name in INSTRUMENTS[:2]
    }
    assert all({48, 60, 72} <= set(found) for found in drawn.values())
    assert 5 <= len(drawn["drawbar_organ"]) <= 12
    assert drawn["drawbar_organ"] != drawn["acoustic_grand_piano"]
    # this soundfont's piano has a layer for loud notes, its organ none
    heard = {name: {n.velocity for n in made.notes if n.instrument == name} for name in drawn}
    assert heard["drawbar_organ"] == {100} and 100 in heard["acoustic_grand_piano"]
    assert made.left_out == {
        selection.SAME_VELOCITY: 3 * sum(map(len, drawn.values())) - len(made.notes)
    }


def test_drum_kits(font, tmp_path):
    made = soundfont.render([font], tmp_path, drums=True, programs=(0, 25), velocities=(110,))
    assert made.instruments == ("standard", "tr_808")
    assert {n.pitch for n in made.notes} == set(range(35, 82))
    assert {(n.family, n.source) for n in made.notes} == {
        ("drums", "acoustic"),
        ("drums", "electronic"),
    }


def test_oversampling_takes_away_what_is_folded_back(font, tmp_path):
    """A square wave has partials at odd multiples alone; the others are alias."""
    haze = []
    for oversample in (1, 3):
        made = soundfont.render(
            [font], tmp_path / f"{oversample}", pitches=(72,), programs=(80,), oversample=oversample
        )
        spectrum = np.abs(np.fft.rfft(made.audio([0])[0].numpy()[8000:40000] * np.hanning(32000)))
        hertz = np.fft.rfftfreq(32000, 1 / RATE)
        partial = np.abs(hertz / 523.25 - np.round(hertz / 523.25)) < 0.1
        haze.append(10 * np.log10((spectrum[~partial] ** 2).sum() / (spectrum**2).sum()))
    print("dB between partials:", haze)
    assert haze[1] < haze[0] - 6


def test_silent_notes_are_counted(font, tmp_path):
    # this soundfont's contrabass and tuba have no keys so high
    made = soundfont.render([font], tmp_path, pitches=(48, 84), programs=(43, 58))
    assert [(n.instrument, n.pitch) for n in made.notes] == [("contrabass", 48), ("tuba", 48)]
    assert made.left_out == {"silent": 2}


@pytest.mark.parametrize("content", [b"", b"no soundfont", b"RIFF\x00\x00\x00\x00sfbkLIST"])
def test_what_is_no_soundfont_says_so(tmp_path, content):
    (tmp_path / "a.sf2").write_bytes(content)
    for _ in range(2):  # and leaves nothing in the way
        with pytest.raises(UserError, match=r"a\.sf2 is (no soundfont|damaged)"):
            soundfont.render([tmp_path / "a.sf2"], tmp_path / "out")
    with pytest.raises(UserError, match=r"no soundfont at .*none\.sf2"):
        soundfont.render([tmp_path / "none.sf2"], tmp_path / "out")


def test_general_midi_kinds():
    kinds = dict(zip(GENERAL_MIDI, map(soundfont.source_of, range(128)), strict=True))
    assert kinds["acoustic_grand_piano"] == kinds["church_organ"] == kinds["fiddle"] == "acoustic"
    assert kinds["rock_organ"] == kinds["electric_bass_pick"] == kinds["clavinet"] == "electronic"
    assert kinds["synth_strings_2"] == kinds["pad_2_warm"] == kinds["synth_bass_1"] == "synthetic"
    assert all(kind == "synthetic" for name, kind in kinds.items() if "synth" in name)
    assert all(kind == "electronic" for name, kind in kinds.items() if "electric" in name)
    families = dict(zip(GENERAL_MIDI, map(general_midi.family, range(128)), strict=True))
    assert Counter(families.values()) == dict.fromkeys(general_midi.FAMILIES, 8)
    assert (families["celesta"], families["koto"]) == ("chromatic_percussion", "ethnic")


# NSynth

KINDS = ("acoustic", "electronic", "synthetic")


def publish(part, notes):
    """A part of the release as it is published; notes are (instrument, source, pitch, velocity)."""
    (part / "audio").mkdir(parents=True)
    examples, waves = {}, {}
    for number, (instrument, source, pitch, velocity) in enumerate(notes):
        family = instrument.split("_")[0]
        name = f"{instrument}-{pitch:03d}-{velocity:03d}"
        examples[name] = {
            "qualities": [0] * 10,
            "pitch": pitch,
            "note": 201034 + number,
            "instrument_source_str": KINDS[source],
            "velocity": velocity,
            "instrument_str": instrument,
            "instrument": 417,
            "sample_rate": 16000,
            "qualities_str": [],
            "instrument_source": source,
            "note_str": name,
            "instrument_family": 4,
            "instrument_family_str": family,
        }
        random = np.random.default_rng(list(name.encode()))
        waves[name] = random.integers(-32768, 32768, 64000).astype(np.int16)
        waves[name][:2] = -32768, 32767
        soundfile.write(part / "audio" / f"{name}.wav", waves[name], RATE, subtype="PCM_16")
    (part / "examples.json").write_text(json.dumps(examples))
    return waves


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "nsynth"
    piano, organ = "keyboard_acoustic_004", "organ_electronic_007"
    waves = publish(
        root / "nsynth-train",
        [(piano, 0, p, v) for p in (23, 24, 84, 85) for v in (50, 127)] + [(organ, 1, 60, 75)],
    )
    waves |= publish(root / "nsynth-test", [("bass_synthetic_033", 2, 30, 100)])
    return root, waves


def test_nsynth_comes_through_bit_for_bit(release, tmp_path, capsys):
    root, waves = release
    cli.main(["dataset", "nsynth", str(root), "-o", str(tmp_path / "out")])
    data = Dataset.open(tmp_path / "out")
    assert [f"{n.instrument}-{n.pitch:03d}-{n.velocity:03d}" for n in data.notes] == [
        "keyboard_acoustic_004-024-050",
        "keyboard_acoustic_004-024-127",
        "keyboard_acoustic_004-084-050",
        "keyboard_acoustic_004-084-127",
        "organ_electronic_007-060-075",
        "bass_synthetic_033-030-100",
    ]
    for row, note in enumerate(data.notes):
        name = f"{note.instrument}-{note.pitch:03d}-{note.velocity:03d}"
        assert np.array_equal(data.waves[row], waves[name])
        assert np.array_equal(data.audio([row])[0].numpy() * 32768, waves[name])
        assert note.split == split_of(note.instrument, note.pitch)
    assert [(n.family, n.source) for n in data.notes[3:]] == [
        ("keyboard", "acoustic"),
        ("organ", "electronic"),
        ("bass", "synthetic"),
    ]
    assert data.about["licence"] == "CC BY 4.0" and "CC BY 4.0" in capsys.readouterr().out


def test_nsynth_filters_and_its_own_split(release, tmp_path):
    root, _ = release
    data = nsynth.convert(root, tmp_path / "a", source="acoustic", pitches=range(24, 60))
    assert [(n.pitch, n.source) for n in data.notes] == 2 * [(24, "acoustic")]
    data = nsynth.convert(root, tmp_path / "b", split="nsynth")
    assert [n.split for n in data.notes] == 5 * ["train"] + ["test"]
    data = nsynth.convert(root / "nsynth-test", tmp_path / "c")
    assert [n.instrument for n in data.notes] == ["bass_synthetic_033"]
    with pytest.raises(UserError, match="--split nsynth"):
        nsynth.convert(root / "nsynth-train", tmp_path / "d", split="nsynth")


def test_nsynth_sounds_that_are_not_as_they_should_be(tmp_path):
    part = tmp_path / "mine"
    waves = publish(part, [("reed_acoustic_001", 0, p, 100) for p in range(60, 68)])
    missing, damaged, slow, stereo, silent, short, long, whole = waves
    files = {name: part / "audio" / f"{name}.wav" for name in waves}
    files[missing].unlink()
    files[damaged].write_bytes(b"RIFF of no use")
    soundfile.write(files[slow], waves[slow], 8000)
    soundfile.write(files[stereo], np.stack([waves[stereo]] * 2, axis=1), RATE)
    soundfile.write(files[silent], np.zeros(64000, np.int16), RATE)
    soundfile.write(files[short], waves[short][:63901], RATE)
    soundfile.write(files[long], np.concatenate([waves[long], waves[long]]), RATE)
    data = nsynth.convert(part, tmp_path / "out")
    assert data.left_out == {
        "sound is missing": 1,
        "sound is damaged": 1,
        "not 16 kHz mono": 2,
        "silent": 1,
    }
    # Magenta put the larger half of what misses before the note
    assert np.array_equal(data.waves[0], np.pad(waves[short][:63901], (50, 49)))
    assert np.array_equal(data.waves[1:], [waves[long], waves[whole]])


def test_interrupted_nsynth_goes_on_to_the_same_bytes(release, tmp_path):
    root, _ = release
    (root / "nsynth-train/audio/keyboard_acoustic_004-024-050.wav").unlink()
    nsynth.convert(root, tmp_path / "whole")
    for count in (0, 2):
        with interrupted_after(count), pytest.raises(KeyboardInterrupt):
            nsynth.convert(root, tmp_path / "parts")
    with pytest.raises(UserError, match="another data set"):
        nsynth.convert(root, tmp_path / "parts", source="acoustic")
    nsynth.convert(root, tmp_path / "parts")
    assert same_files(tmp_path / "parts", tmp_path / "whole")
    assert {p.name for p in (tmp_path / "parts").iterdir()} == set(FILES)


def test_what_is_no_nsynth_says_so(release, tmp_path):
    root, _ = release
    with pytest.raises(UserError, match=r"no NSynth release; .*examples\.json"):
        nsynth.convert(tmp_path, tmp_path / "out")
    for content in ("[1]", "{", '{"a": {"pitch": 60}}', '{"a": 1}'):
        (root / "nsynth-test/examples.json").write_text(content)
        with pytest.raises(UserError, match=r"examples\.json is not NSynth's"):
            nsynth.convert(root / "nsynth-test", tmp_path / "out")


# recordings


@pytest.mark.parametrize(
    ("stem", "instrument", "pitch", "velocity"),
    [
        ("piano_C4", "piano", 60, 100),
        ("060", "", 60, 100),
        ("violin-A#3-ff", "violin", 58, 112),
        ("Flute_pitch_67", "flute", 67, 100),
        ("keyboard_acoustic_024-060-025", "keyboard_acoustic_024", 60, 25),
        ("Tenor Sax Eb2 mp", "tenor_sax", 39, 64),
        ("cs4", "", 61, 100),
        ("oboe midi72 take 3", "oboe_take_3", 72, 100),
        ("scale C4 to C5", "scale_c4_to_c5", None, 100),
        ("take 12", "take_12", None, 100),
        ("abc123", "abc123", None, 100),
    ],
)
def test_names(stem, instrument, pitch, velocity):
    assert file_names.parse(stem) == file_names.Named(instrument, pitch, velocity)


@pytest.fixture(scope="module")
def melody(data):
    """Six notes of the soundfont with their beginnings in samples, most ringing into the next."""
    order = [
        ("trumpet", 57), ("trumpet", 69), ("flute", 57),
        ("acoustic_grand_piano", 69), ("acoustic_grand_piano", 57), ("flute", 69),
    ]  # fmt: skip
    sound, begun = np.zeros(6 * RATE), []
    for n, (instrument, pitch) in enumerate(order):
        note = wave_of(data, instrument, pitch)[: int(0.75 * RATE)].copy()
        note[-800:] *= np.linspace(1, 0, 800)
        begun.append(int((0.4 + 0.8 * n) * RATE))
        sound[begun[-1] : begun[-1] + len(note)] += note
    sound += 3e-4 * np.random.default_rng(0).standard_normal(len(sound))
    return sound, begun, [pitch for _, pitch in order]


def test_a_melody_is_cut_and_its_pitches_are_heard(melody, tmp_path, capsys, monkeypatch):
    sound, begun, pitches = melody
    fast = resample_poly(sound, 441, 160)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/melody.flac", np.stack([fast, 0.5 * fast], axis=1), 44100)
    spans, cut = [], segmentation.melody

    def kept(*args):
        found = list(cut(*args))
        spans.extend(found)
        return found

    monkeypatch.setattr(segmentation, "melody", kept)
    data = folder.collect(tmp_path / "in", tmp_path / "out", family="mixed", licence="[/mine]")
    assert [n.pitch for n in data.notes] == pitches
    assert {(n.instrument, n.family, n.source) for n in data.notes} == {("melody", "mixed", "")}
    assert data.about["licence"] == "[/mine]" and not data.left_out
    cli.main(["dataset", "info", str(tmp_path / "out")])
    assert "[/mine]" in capsys.readouterr().out  # is no markup
    late = [(span.start - at) / RATE * 1000 for span, at in zip(spans, begun, strict=True)]
    print("ms late:", late)
    assert np.abs(late).max() < 20
    for wave, at, span in zip(data.audio(slice(None)).numpy(), begun, spans, strict=True):
        assert np.abs(wave).max() == pytest.approx(0.5, abs=1e-4)
        start = span.start - segmentation.LEAD_IN
        assert np.corrcoef(sound[start:][:11000], wave[:11000])[0, 1] > 0.99
        # nothing of the next note
        assert np.abs(wave[at + int(0.8 * RATE) - start :]).max() < 0.005


def test_one_note_stays_one_note(data, tmp_path):
    """Whole notes, with attack, vibrato and release, of unnamed pitch."""
    (tmp_path / "in").mkdir()
    wanted = {}
    for name in ("acoustic_grand_piano", "trumpet", "flute"):
        for pitch in PITCHES:
            file = f"{name} {'low' if pitch == 57 else 'high'}.wav"
            soundfile.write(tmp_path / "in" / file, wave_of(data, name, pitch), RATE)
            wanted[file] = pitch
    made = folder.collect(tmp_path / "in", tmp_path / "out")
    assert [n.pitch for n in made.notes] == [wanted[file] for file in sorted(wanted)]


def test_named_notes_of_any_format(tmp_path):
    root = tmp_path / "in"
    (root / "Concert Harp").mkdir(parents=True)
    lead = np.zeros(44100)
    soundfile.write(
        root / "Concert Harp/C4.wav", np.concatenate([lead, tone(60, 6, 44100, 0.3)]), 44100
    )
    soundfile.write(root / "Lute_A3_pp.ogg", tone(57, 1, 48000), 48000)
    soundfile.write(root / "Lute_A5.mp3", tone(81, 1, 32000), 32000)
    soundfile.write(root / "064.flac", tone(64, 1), RATE)
    two = np.concatenate([tone(50, 1), np.zeros(8000), tone(50, 1)])
    soundfile.write(root / "Lute_D3.aiff", two, RATE)
    (root / "notes.txt").write_text("no sound")
    data = folder.collect(root, tmp_path / "out", source="acoustic")
    assert sorted((n.instrument, n.pitch, n.velocity) for n in data.notes) == [
        ("concert_harp", 60, 100),
        ("in", 64, 100),
        ("lute", 50, 100),
        ("lute", 50, 100),
        ("lute", 57, 33),
        ("lute", 81, 100),
    ]
    assert len(data.rows(source="acoustic")) == 6
    for wave, note in zip(data.audio(slice(None)).numpy(), data.notes, strict=True):
        assert abs(cents_off(wave, note.pitch)) < 10
        assert np.argmax(np.abs(wave) > 0.05) < 0.012 * RATE  # silence before it is gone
    harp = wave_of(data, "concert_harp", 60)
    # cut after 4 s without a click: it ends as slowly as it swings
    assert np.abs(harp[-320:]).max() > 0.05 and np.abs(harp[-4:]).max() < 0.005


def test_resampling_keeps_what_is_under_8_khz_and_nothing_else(tmp_path):
    time = np.arange(2 * 44100) / 44100
    for hertz, level in ((100, 0.5), (7000, 0.5), (8100, 0), (20000, 0)):
        soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * hertz * time), 44100, "FLOAT")
        middle = segmentation.load(tmp_path / "a.wav")[8000:24000]
        assert np.abs(middle).max() == pytest.approx(level, abs=0.002)


def test_what_is_left_out_is_counted(tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    soundfile.write(root / "hiss.wav", noise, RATE)
    soundfile.write(root / "nothing.wav", np.zeros(RATE), RATE)
    soundfile.write(root / "empty.wav", np.zeros(0), RATE)
    soundfile.write(root / "click_C4.wav", np.pad(tone(60, 0.03), 9000), RATE)
    soundfile.write(root / "whistle_C8.wav", tone(108, 1), RATE)
    soundfile.write(root / "high.wav", tone(91, 1), RATE)
    soundfile.write(root / "bad_D4.wav", np.full(RATE, np.nan), RATE, "FLOAT")
    (root / "torn.flac").write_bytes(b"fLaC and no more")
    soundfile.write(root / "low.wav", tone(40, 1), RATE)
    command = ["dataset", "folder", str(root), "-o", str(tmp_path / "out"), "--pitches", "24-84"]
    cli.main(command)
    data = Dataset.open(tmp_path / "out")
    assert [(n.instrument, n.pitch) for n in data.notes] == [("low", 40)]
    assert data.left_out == {
        "no steady pitch heard": 1,
        "silent": 2,
        "shorter than 0.1 s": 1,
        "pitch out of range": 2,
        "file is damaged": 2,
    }
    said = capsys.readouterr().out
    assert "no steady pitch heard" in said and "file is damaged" in said
    assert (tmp_path / "out/contact_sheet.png").exists()


def test_interrupted_folder_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    root = tmp_path / "in"
    root.mkdir()
    for name in ("a_C3", "b_C4", "c_silence_C5"):
        take = np.concatenate([tone(60, 0.5), np.zeros(4000)])
        soundfile.write(root / f"{name}.wav", np.tile(take, 3) * ("silence" not in name), RATE)
    whole = folder.collect(root, tmp_path / "whole")
    assert len(whole.notes) == 6 and whole.left_out == {"silent": 1}
    with interrupted_after(5), pytest.raises(KeyboardInterrupt):  # within the second file
        folder.collect(root, tmp_path / "parts")
    loaded = []
    with monkeypatch.context() as patch:
        load = segmentation.load
        patch.setattr(segmentation, "load", lambda path: loaded.append(path.stem) or load(path))
        folder.collect(root, tmp_path / "parts")
    assert loaded == ["b_C4", "c_silence_C5"]
    assert same_files(tmp_path / "parts", tmp_path / "whole")


def test_librosa_is_asked_for_only_where_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    soundfile.write(tmp_path / "C4.wav", tone(60, 1), RATE)
    assert len(folder.collect(tmp_path, tmp_path / "out").notes) == 1
    soundfile.write(tmp_path / "what.wav", tone(60, 1), RATE)
    with pytest.raises(UserError, match=r"pip install 'gansynth-server\[eval\]'"):
        folder.collect(tmp_path, tmp_path / "more")


def test_a_folder_without_sounds_says_so(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="no sound files"):
            folder.collect(path, tmp_path / "out")


# folders of notes


def test_no_cell_is_split_and_a_twentieth_is_held_out():
    cells = [(name, p) for name in GENERAL_MIDI for p in range(24, 85)]
    held_out = [cell for cell in cells if split_of(*cell) == "test"]
    assert 0.04 < len(held_out) / len(cells) < 0.06
    # nearly every instrument and every pitch has some
    assert len({name for name, _ in held_out}) > 115 and len({p for _, p in held_out}) == 61
    assert split_of("acoustic_grand_piano", 60) == "train"  # on every machine
    assert split_of(*held_out[0]) == "test"


def written(out, count, about="x"):
    with Writer(out, {"about": about}) as writer:
        for n in range(count):
            if f"{n}" in writer:
                continue
            if n % 3 == 2:
                writer.skip(f"{n}", "third")
            else:
                note = Note("a", 60 + n, 100, "train")
                writer.add(f"{n}", note, np.full(64000, n / 100, np.float32))
        return writer.finish()


@pytest.mark.parametrize(
    ("waves", "rows"), [(-1, 0), (-128000, 0), (0, -1), (77, -90), (-300000, 0)]
)
def test_a_torn_folder_goes_on_to_the_same_bytes(tmp_path, waves, rows):
    """As after a power cut: files that end anywhere."""
    whole = written(tmp_path / "whole", 7)
    assert whole.left_out == {"third": 2} and len(whole.notes) == 5
    torn = tmp_path / "torn"
    with interrupted_after(4), pytest.raises(KeyboardInterrupt):
        written(torn, 7)
    for name, change in (("notes.s16", waves), ("index.partial.jsonl", rows)):
        content = (torn / name).read_bytes()
        (torn / name).write_bytes((content + bytes(100))[: len(content) + change])
    written(torn, 7)
    assert same_files(torn, tmp_path / "whole")


def test_a_full_disk_says_so_and_the_rest_comes_later(tmp_path):
    written(tmp_path / "whole", 4)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(UserError, match="cannot write to"):
            written(tmp_path / "late", 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    written(tmp_path / "late", 4)
    assert same_files(tmp_path / "late", tmp_path / "whole")


def test_folders_that_are_in_the_way(tmp_path):
    written(tmp_path / "done", 2)
    with pytest.raises(UserError, match="another --output"):
        written(tmp_path / "done", 2)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        written(tmp_path / "file", 2)
    with pytest.raises(UserError, match="no notes were found"):
        written(tmp_path / "none", 0)
    assert len(written(tmp_path / "none", 2, "other settings").notes) == 2


def test_missing_or_damaged_data_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="gansynth dataset"):
        Dataset.open(tmp_path)
    data = written(tmp_path / "a", 2)
    with data.folder.joinpath("notes.s16").open("r+b") as file:
        file.truncate(128000)
    with pytest.raises(UserError, match="damaged"):
        Dataset.open(tmp_path / "a")


def test_info(release, tmp_path, capsys):
    root, _ = release
    nsynth.convert(root, tmp_path / "out")
    cli.main(["dataset", "info", str(tmp_path / "out")])
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    keyboards = [n for n in (24, 84) if split_of("keyboard_acoustic_004", n) == "train"]
    train = 2 * len(keyboards)
    assert ["keyboard", "acoustic", "1", str(train), str(4 - train), "4"] in cells
    assert any(cell[:1] == ["all"] and cell[-1] == "6" for cell in cells)
    assert any("24 s" in line for line in lines) and any("24–84" in line for line in lines)


def test_pictures_are_left_out_without_matplotlib(release, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    root, _ = release
    cli.main(["dataset", "nsynth", str(root), "-o", str(tmp_path / "out")])
    assert "no contact sheet: " in capsys.readouterr().out
    assert not (tmp_path / "out/contact_sheet.png").exists()


def test_numbers():
    assert numbers("--pitches", ("24-26", "60,3")) == (3, 24, 25, 26, 60)
    for bad in ("", "x", "5-3", "128", "-1", "1-200"):
        with pytest.raises(UserError, match="--pitches"):
            numbers("--pitches", (bad,))
    with pytest.raises(UserError, match="1-127"):
        numbers("--velocities", ("0",), least=1)
