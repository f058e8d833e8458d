"""The evaluation, checked on real notes, on their round trip, on noise and on closed forms."""

import contextlib
import importlib
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.analysis.acoustics import (
    Tuning,
    attack,
    centroid,
    cents_off,
    envelope,
    spectral,
)
from gansynth_server.analysis.labelled_notes import round_trip
from gansynth_server.cli import main
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.spectral import transform
from gansynth_server.training.dataset import INDEX, Dataset
from gansynth_server.training.evaluation import (
    EvaluateOptions,
    classifier,
    evaluate,
    inversion_metrics,
    model_card,
    table,
)
from gansynth_server.training.evaluation.classifier import ClassifierOptions
from gansynth_server.training.evaluation.distances import (
    Bins,
    different,
    entropy,
    frechet,
    frechet_distance,
    inception_score,
)
from gansynth_server.training.evaluation.note_sets import NoteSet
from gansynth_server.training.evaluation.reference_statistics import (
    ReferenceOptions,
    load_reference,
)
from gansynth_server.training.evaluation.timbre_metrics import (
    PATH_STEPS,
    PATHS,
    alike,
    consistency,
    neighbour_rows,
    preset_rows,
    smoothness,
)
from gansynth_server.training.sources import soundfont
from tests.support.bundled import each_bundled
from tests.support.training_runs import soundfont_file

PITCHES = range(50, 66)
# pianos, harpsichord, guitar, bass, strings, brass, reeds and pipes
PROGRAMS = (0, 4, 6, 24, 32, 48, 56, 65, 71, 73)
OPTIONS = ReferenceOptions(ClassifierOptions(epochs=25, batch=16, least_steps=0), pyin_notes=1)
module = importlib.import_module("gansynth_server.training.evaluation.evaluate")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """160 notes, every fourth held out: the usual twentieth would be too few."""
    folder = tmp_path_factory.mktemp("data") / "notes"
    soundfont.render([soundfont_file()], folder, pitches=PITCHES, programs=PROGRAMS)
    index = json.loads((folder / INDEX).read_text())
    for row, note in enumerate(index["notes"]):
        note["split"] = "train" if (row + row // len(PITCHES)) % 4 else "test"
    (folder / INDEX).write_text(json.dumps(index))
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def known(data):
    return load_reference(data, OPTIONS)


@pytest.fixture(scope="module")
def real(data):
    return data.sounds(data.rows("test"))


@pytest.fixture(scope="module")
def figures(data, known, real):
    """Figures of held-out notes, their round trip, wrong labels and noise."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(real.waves.shape).astype(np.float32) * 0.1
    kinds = {
        "real": real,
        "round_trip": round_trip(real),
        "shuffled": replace(real, pitches=rng.permutation(real.pitches)),
        "noise": replace(real, waves=noise),
    }
    whole = NoteSet("real", real, None, None)
    sure = known.sure(data)
    return {
        name: module.measure(NoteSet(name, notes, None, None), whole, known, sure, data.families)[0]
        for name, notes in kinds.items()
    }


def test_real_notes_score_as_real_notes(figures):
    found = figures["real"]
    assert found["pitch_accuracy"] >= 0.9
    assert found["instrument_accuracy"] >= 0.9
    assert found["in_tune"] >= 0.9
    assert found["inception_score_pitch"] > 0.5 * len(PITCHES)
    assert found["ndb"] <= 0.15
    assert (found["silent"], found["clipped"]) == (0, 0)
    assert found["noise_only"] <= 1
    assert found["coherence"] > 0.7
    assert found["peak"] == pytest.approx(0.5, abs=1e-3)


def test_the_round_trip_is_near_the_real_notes(figures):
    found, wanted, noise = (figures[name] for name in ("round_trip", "real", "noise"))
    assert found["pitch_accuracy"] >= wanted["pitch_accuracy"] - 0.1
    assert found["in_tune"] >= wanted["in_tune"] - 0.1
    assert found["frechet_distance"] < 0.2 * noise["frechet_distance"]
    assert found["ndb"] <= wanted["ndb"] + 0.1
    assert abs(found["coherence"] - wanted["coherence"]) < 0.1
    assert -5 < found["rms_db"] - wanted["rms_db"] < 0  # mel bands are no exact inverse


def test_shuffled_pitches_are_heard_by_chance(figures):
    assert figures["shuffled"]["pitch_accuracy"] < 0.25
    assert figures["shuffled"]["in_tune"] < 0.25
    # what it hears has not changed
    for name in ("pitch_entropy", "frechet_distance", "ndb", "instrument_accuracy"):
        assert figures["shuffled"][name] == figures["real"][name]


def test_noise_is_far_from_the_real_notes(figures, real):
    found, wanted = figures["noise"], figures["real"]
    assert found["frechet_distance"] > 5 * wanted["frechet_distance"]
    assert found["ndb"] > 0.4
    assert found["noise_only"] == len(real)
    assert found["coherence"] < 0.1
    assert found["pitch_accuracy"] < 0.25
    assert found["inception_score_pitch"] < 3
    assert found["treble_db"] == pytest.approx(-3, abs=0.2)
    assert found["rms_db"] == pytest.approx(-20, abs=0.1)


def test_the_classifier_is_kept(data, known, monkeypatch):
    def train(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(classifier, "train", train)
    again = load_reference(data, OPTIONS)
    assert np.array_equal(again.embedding, known.embedding)
    assert again.noise == known.noise
    assert again.sure(data) == known.sure(data)
    waves = data.audio([0, 50])
    inputs = importlib.import_module("gansynth_server.analysis.mel_features").features(waves)
    ours, theirs = (classifier.classify(r.net, inputs).pitch for r in (again, known))
    assert np.array_equal(ours, theirs)
    with pytest.raises(AssertionError, match="trained again"):
        load_reference(
            data, replace(OPTIONS, classifier=ClassifierOptions(epochs=1, least_steps=0))
        )


def test_random_phases_are_incoherent(real):
    some = replace(real, waves=real.waves[:8])
    magnitude = transform.stft(torch.from_numpy(some.waves)).abs()
    torch.manual_seed(0)
    scattered = torch.polar(magnitude, torch.rand_like(magnitude) * 6.2832)
    random = replace(some, waves=transform.istft(scattered).numpy())
    right, returned, wrong = (
        spectral(kind).coherence.mean() for kind in (some, round_trip(some), random)
    )
    assert abs(right - returned) < 0.1
    assert min(right, returned) > 3 * wrong


def test_frechet_distance_has_its_closed_form():
    one, two = np.diag([1.0, 4.0]), np.diag([9.0, 0.25])
    mean = np.array([1.0, -2.0])
    assert frechet(mean, one, mean, one) == pytest.approx(0, abs=1e-9)
    # diagonal covariances: |Δμ|² + Σ (σa - σb)²
    expected = 9 + 16 + (1 - 3) ** 2 + (2 - 0.5) ** 2
    assert frechet(mean, one, mean + np.array([3, 4]), two) == pytest.approx(expected)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = [turn @ c @ turn.T for c in (one, two)]
    assert frechet(mean, turned[0], mean + np.array([3, 4]), turned[1]) == pytest.approx(expected)
    normal = np.random.default_rng(0).standard_normal((4000, 2))
    other = np.random.default_rng(1).standard_normal((4000, 2)) * 2 + 1
    assert frechet_distance(normal, other) == pytest.approx(2 + 2, rel=0.1)


def test_inception_score_counts_clear_and_even_classes():
    assert inception_score(np.eye(5)) == pytest.approx(5)
    assert inception_score(np.full((7, 5), 0.2)) == pytest.approx(1)
    assert inception_score(np.eye(5)[[2, 2, 2]]) == pytest.approx(1)
    assert entropy(np.full(5, 0.2)) == pytest.approx(np.log(5))


def test_ndb_is_the_significance_for_like_samples_and_more_for_others():
    rng = np.random.default_rng(0)
    like, unlike = [], []
    for seed in range(6):
        bins = Bins.fit(rng.standard_normal((3000, 4)).astype(np.float32), 50, seed)
        assert bins.shares.sum() == pytest.approx(1)
        like.append(bins.different(rng.standard_normal((3000, 4)).astype(np.float32)))
        unlike.append(bins.different(rng.standard_normal((3000, 4)).astype(np.float32) + 0.5))
    # k-means fits the bins to the reals, which makes them differ a little more often
    assert 0.01 <= np.mean(like) <= 0.12
    assert min(unlike) > 0.5


def test_the_two_proportion_test_has_its_critical_value():
    # pooled 0.25: the standard error is √(0.25·0.75·2/100) = 0.0612, of which 1.96 are 0.120
    even = np.array([0.25, 0.75])
    near, far = np.array([[0.0595, -0.0595], [0.0605, -0.0605]])
    assert different(even - near, 100, even + near, 100, 0.05) == 0
    assert different(even - far, 100, even + far, 100, 0.05) == 1
    assert different(np.array([0.0, 1.0]), 10, np.array([0.0, 1.0]), 10, 0.05) == 0


def tone(hertz, envelope=1.0):
    time = np.arange(64000) / 16000
    partials = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 5))
    return (0.2 * envelope * partials).astype(np.float32)


def test_pitch_is_heard_in_cents():
    assert cents_off(tone(440), 69) == pytest.approx(0, abs=1)
    assert cents_off(tone(440 * 2 ** (40 / 1200)), 69) == pytest.approx(40, abs=1)
    assert cents_off(tone(220), 69) == pytest.approx(-1200, abs=1)
    assert np.isnan(cents_off(np.zeros(64000, np.float32), 69))
    found = Tuning.of(np.array([0, -40, 1210, -2400, 700, np.nan, np.nan, 49.0]))
    assert found == Tuning(right=3 / 8, octave=2 / 8, other=1 / 8, unvoiced=2 / 8)


def test_attacks_are_measured_from_10_to_90_percent():
    constant = np.full(64000, 0.5, np.float32)
    assert attack(constant) == pytest.approx(16, abs=1)  # the smoothing's own
    ramp = np.minimum(np.arange(64000) / 8000, 1).astype(np.float32)
    assert attack(ramp) == pytest.approx(400, abs=3)
    assert np.isnan(attack(np.zeros(64000, np.float32)))


def test_instruments_swell_and_shine_as_they_do(data):
    rows = {(n.instrument, n.pitch): r for r, n in enumerate(data.notes)}
    piano, strings, trumpet, flute = (
        data.audio([rows[name, 60]]).numpy()[0]
        for name in ("acoustic_grand_piano", "string_ensemble_1", "trumpet", "flute")
    )
    assert attack(piano) < 60 < attack(strings)
    assert envelope(piano)[50] < 0.5 * envelope(piano)[2]
    assert envelope(strings)[50] > 0.5 * envelope(strings)[20]
    assert centroid(flute) < centroid(trumpet)


def test_one_timbre_is_nearer_to_itself_than_to_others(data):
    pairs = neighbour_rows(data, tuple(PITCHES), seed=0)
    assert pairs.shape == (48, 2)
    for low, high in pairs:
        assert data.notes[low].instrument == data.notes[high].instrument
        assert data.notes[low].pitch + 1 == data.notes[high].pitch
    low, high = (data.sounds(column) for column in pairs.T)
    assert consistency(low, low) == pytest.approx(0, abs=1e-6)
    assert consistency(low, high) < 0.6
    mixed = np.random.default_rng(0).permutation(len(pairs))
    assert consistency(low, replace(high, waves=high.waves[mixed])) > 0.8


def test_even_paths_have_even_steps():
    line = np.linspace(0, 1, PATH_STEPS + 1)[:, None] * np.ones(3)
    even = smoothness(np.concatenate([line] * PATHS))
    assert even == {"path_ratio": pytest.approx(1), "path_length": pytest.approx(1)}
    jump = (line > 0.5).astype(float)
    found = smoothness(np.concatenate([jump] * PATHS))
    assert found["path_ratio"] == pytest.approx(PATH_STEPS)
    detour = np.concatenate([line[: PATH_STEPS // 2 + 1], line[PATH_STEPS // 2 - 1 :: -1]])
    assert smoothness(np.concatenate([detour + 0.01 * line] * PATHS))["path_length"] > 20


def test_presets_are_compared_with_their_instruments(data):
    rows = preset_rows(data, frozenset({"trumpet", "flute", "clarinet", "no_such"}), (60, 61))
    assert {(data.notes[r].instrument, data.notes[r].pitch) for r in rows} == {
        (name, 60) for name in ("trumpet", "flute", "clarinet")
    }
    real = data.sounds(rows)
    same = alike(real, real)
    for name in ("envelope", "centroid_rank", "attack_rank"):
        assert same[f"{name}_correlation"] == pytest.approx(1)
    assert same["preset_distance"] == pytest.approx(0, abs=1e-3)
    turned = alike(real, replace(real, waves=real.waves[:, ::-1].copy()))
    assert turned["envelope_correlation"] < 0.5 and turned["preset_distance"] > 3
    assert set(turned["instruments"]) == {"trumpet", "flute", "clarinet"}
    assert turned["instruments"]["flute"]["distance_db"] > 3
    silent = alike(real, replace(real, waves=np.zeros_like(real.waves)))
    assert silent["envelope_correlation"] == 0
    assert silent["instruments"]["flute"]["attack_ms"][1] is None


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A checkpoint that has learnt nothing, with presets named like two of the instruments."""
    torch.manual_seed(0)
    net = Generator(GeneratorConfig(latent_size=8, filters=progressive_filters(512, 8)))
    names = ("trumpet", "flute", "my_own")
    presets = {name: np.full(8, n, np.float32) for n, name in enumerate(names)}
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    checkpoint.save(
        folder,
        net,
        {"data": {"licence": "a\nb"}, "options": {"minutes": 0.5}, "note": "a |\nb"},
        presets,
    )
    return folder


@pytest.fixture(scope="module")
def found(data, known, tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_reference", lambda *_: known)
        patch.setattr(inversion_metrics, "RANDOM", 5)
        options = EvaluateOptions(notes=12, inversions=2, inversion_seconds=1.0)
        return evaluate(gs.load(str(tiny)), data, options)


def test_latents_are_looked_for(found, data):
    looked = found.figures["inversions"]
    assert set(looked) == {key for key, *_ in table.INVERSIONS} | {"each"}
    for note in looked["each"]:
        assert note["distance"] <= min(note["preset"], note["random"]) + 0.2
        assert note["family"] == data.families[note["instrument"]]
        assert {note["told"], note["real"]} <= set(data.families.values())
    assert looked["nearer_than_random"] in (0, 0.5, 1)
    nothing = inversion_metrics.figures(
        [inversion_metrics.Inverted(**looked["each"][0] | {"preset": None})]
    )
    assert nothing["preset_db"] is None and nothing["same_family"] in (0, 1)


def test_a_checkpoint_that_knows_nothing_is_told_from_real_notes(found):
    mine, real = found.figures["rows"]["model"], found.figures["rows"]["real"]
    assert found.figures["notes"] == 12
    assert set(mine) >= set(real) >= {key for key, *_ in table.MEASURES if "path" not in key}
    assert mine["pitch_accuracy"] < 0.4 < real["pitch_accuracy"]
    assert mine["frechet_distance"] > real["frechet_distance"]
    assert mine["coherence"] < 0.5 * real["coherence"]
    assert set(found.figures["presets"]) == {"trumpet", "flute"}


def test_the_command_writes_figures_pictures_and_card(data, tiny, found, tmp_path, monkeypatch):
    asked = []
    package = "gansynth_server.training.evaluation"
    monkeypatch.setattr(f"{package}.evaluate", lambda *a: asked.append(a) or found)
    out = tmp_path / "out"
    arguments = ["evaluate", str(tiny), "--data", str(data.folder), "-o", str(out), "--notes", "12"]
    main([*arguments, "--no-card"])
    assert [path.name for path in out.iterdir()] == ["figures.json"]
    assert asked[0][2] == EvaluateOptions(notes=12)
    main(arguments)
    for name in ("rainbowgrams.png", "pitch_error.png", "confusion.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    figures = json.loads((out / "figures.json").read_text())
    json.dumps(figures, allow_nan=False)
    text = (out / "README.md").read_text()
    check_card(text, figures)
    assert text.startswith("---\nlicense: mit\n")
    assert "options › minutes | 0.5 |" in text
    assert "| note | a \\| b |" in text
    assert "`my_own`" in text
    assert "gansynth dataset soundfont FluidR3Mono_GM.sf3" in text


def test_another_checkpoint_stands_beside(data, tiny, found, tmp_path, monkeypatch):
    package = "gansynth_server.training.evaluation"
    monkeypatch.setattr(f"{package}.evaluate", lambda *_: found)
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    out = tmp_path / "out"
    arguments = ["evaluate", str(tiny), "--data", str(data.folder), "-o", str(out), "--notes", "12"]
    arguments += ["--beside", str(other)]

    def refused() -> str:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not out.exists()
        return str(end.value)

    figures = json.loads(json.dumps(found.figures))
    figures["rows"]["model"]["pitch_accuracy"] = 0.123
    assert "gansynth evaluate" in refused()
    (other / "figures.json").write_text(json.dumps(figures | {"data": {}}))
    assert "other notes" in refused()
    (other / "figures.json").write_text(json.dumps(figures))
    main(arguments)
    text = (out / "README.md").read_text()
    assert "|  | checkpoint | other | real | mel round trip |" in text
    accuracy = next(line for line in text.splitlines() if line.startswith("| pitch accuracy"))
    assert accuracy.split(" | ")[2] == "12.3 %"


def check_card(text, figures):
    """Every figure of the table stands in the card as it was measured."""
    for line in (*table.lines(figures), *table.inversion_lines(figures)):
        assert f"| {' | '.join(line)} |" in text


def test_no_held_out_notes_say_so(data, known, tiny, monkeypatch):
    monkeypatch.setattr(module, "load_reference", lambda *_: known)
    trained = replace(data, notes=tuple(replace(note, split="train") for note in data.notes))
    with pytest.raises(gs.UserError, match="held-out"):
        evaluate(gs.load(str(tiny)), trained, EvaluateOptions())


@each_bundled
def test_the_bundled_card_says_what_was_measured(name):
    model = gs.load(name)
    figures = json.loads((model.checkpoint.path / "figures.json").read_text())
    text = (model.checkpoint.path / "README.md").read_text()
    check_card(text, figures)
    assert text == model_card.text(model.checkpoint, figures)
    mine, real = figures["rows"]["model"], figures["rows"]["real"]
    assert figures["in_tune"] == mine["in_tune"]
    assert mine["in_tune_sure"] >= 0.97
    assert real["pitch_accuracy"] >= 0.97
    assert (mine["silent"], mine["clipped"]) == (0, 0)
    assert mine["noise_only"] <= 0.01 * figures["notes"]


@each_bundled
def test_the_bundled_checkpoint_is_in_tune(name):
    model = gs.load(name)
    pitches = [36, 48, 57, 64, 69, 76]
    z = np.random.default_rng(123).standard_normal((len(pitches), 256)).astype(np.float32)
    waves = model.generate_batch(z, pitches)
    off = np.array([cents_off(w, p) for w, p in zip(waves, pitches, strict=True)])
    octaves = np.round(off / 1200)  # where some drawbar organ is in it: the real one's, too
    assert abs(off - 1200 * octaves).max() <= 50, off
    assert np.count_nonzero(octaves) <= (name != "acoustic_only"), off


@each_bundled
def test_bundled_presets_behave_as_their_instruments(name):
    model = gs.load(name)

    def note(preset: str) -> np.ndarray:
        return model.generate_batch(model.preset(preset)[None], [60])[0]

    organs = "church_organ" if name == "acoustic_only" else "drawbar_organ"
    piano, organ = envelope(note("acoustic_grand_piano")), envelope(note(organs))
    assert piano[50] < 0.5 * piano[2:6].max()
    assert organ[50] > 0.5 * organ[4:40].mean()
    assert centroid(note("flute")) < centroid(note("trumpet"))


def test_missing_librosa_says_what_to_install(data, tiny, monkeypatch):
    with contextlib.suppress(KeyError):
        monkeypatch.delitem(sys.modules, "librosa")
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(gs.UserError, match="eval"):
        evaluate(gs.load(str(tiny)), data)


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (["Licensed under the MIT License; some samples are in the public domain"], "mit"),
        (["MIT", "parts PD or CC0, MIT"], "[mit, cc0-1.0]"),
        (["These patches are in the public domain."], "other\nlicense_name: public-domain"),
        (["MIT", "in the public domain"], "[mit, other]\nlicense_name: public-domain"),
        (["in the public domain", "ask the author"], "other"),
    ],
)
def test_the_card_names_the_licences_of_all_sources(said, lines):
    sources = [{"licence": words} for words in said]
    for about in [{"sources": sources}, *(sources if len(said) == 1 else [])]:
        front = model_card._front_matter({"about": about})
        assert front.startswith(f"---\nlicense: {lines}\ntags:")
