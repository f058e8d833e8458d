"""Hallucinations: the sequence of latents, its file, its notes, its sound, its messages."""

import json
import threading
import time

import numpy as np
import pytest
import soundfile

import gansynth_server as gs
from gansynth_server import UserError, cli
from gansynth_server.instrument.hallucination import AHEAD, SLOT, Hallucination, render
from gansynth_server.latent import sequence as sequences
from gansynth_server.latent.sequence import Sequence, SequencePath
from gansynth_server.latent.vectors import draw, slerp
from gansynth_server.offline import score as play
from gansynth_server.offline.score_file import read
from gansynth_server.render.models import Models
from gansynth_server.spectral.constants import HOP, SAMPLE_RATE
from gansynth_server.synth.envelope import Envelope
from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices
from gansynth_server.util.sandbox import SandboxedFolder
from tests.support.server import Peer, ServerProcess

KEYS = sequences.random_keys(3, 32, 5)


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


def test_notes_go_from_key_to_key_along_the_sphere():
    plain = Sequence(KEYS, steps=3)
    assert len(plain) == 3 + 2 * 3
    for note, key in ((0, 0), (4, 1), (8, 2)):
        assert np.array_equal(plain.latent(note), KEYS[key])
    assert np.allclose(plain.latent(5), slerp(KEYS[1], KEYS[2], 0.25))
    assert np.array_equal(plain.latent(-1), KEYS[0])
    assert np.array_equal(plain.latent(99), KEYS[2])
    assert len(Sequence(KEYS, steps=0)) == 3 and len(Sequence(KEYS[:1], steps=9)) == 1
    assert plain.seconds == 8 * plain.spacing + plain.length


@pytest.mark.parametrize("start", [0.0, 12345.678, 9e5 + 1 / 3])
def test_the_path_is_where_each_note_is_at_its_time(start):
    plain = Sequence(KEYS, steps=6, spacing=0.1)
    path = SequencePath(plain, start)
    for note in range(len(plain)):
        assert np.array_equal(path.at(start + note * 0.1), plain.latent(note))
    assert np.allclose(path.at(start + 0.25), plain.latent(2.5), atol=1e-5)


CHANGED = Sequence(KEYS, 2, 0.3, 0.5, 0.1, 0.2, 0.3, 90.0, (60.0, 62.5))


def test_a_file_gives_back_what_was_saved():
    data = sequences.encode(CHANGED, "net")
    back = sequences.decode("a.json", data, 32, {}.__getitem__)
    assert np.array_equal(back.keys, KEYS)
    for name in ("steps", "spacing", "trim", "attack", "sustain", "release", "velocity", "pitches"):
        assert getattr(back, name) == getattr(CHANGED, name)
    assert json.loads(data)["checkpoint"] == "net"


def test_a_file_may_be_written_by_hand():
    z = draw(32, 9)
    content = {"keys": [{"seed": 4}, {"preset": "bell"}, {"latent": z.tolist()}], "pitches": [50]}
    found = sequences.decode("a.json", json.dumps(content).encode(), 32, {"bell": -z}.__getitem__)
    assert np.array_equal(found.keys, [draw(32, 4), -z, z])
    assert found.pitches == (50,) and found.steps == Sequence(KEYS).steps


GOOD = json.loads(sequences.encode(CHANGED, "net"))
BROKEN = [
    b"",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    *(
        json.dumps(GOOD | change).encode()
        for change in (
            {"keys": []},
            {"keys": [{}]},
            {"keys": [[0.0] * 32]},
            {"keys": [{"latent": [0.0] * 31}]},
            {"keys": [{"latent": [float("nan")] * 32}]},
            {"keys": [{"seed": -1}]},
            {"keys": [{"preset": 3}]},
            {"keys": [{"seed": 1}] * 65},
            {"steps": 1.5},
            {"steps": True},
            {"spacing": 0},
            {"spacing": float("inf")},
            {"attack": "slow"},
            {"attack": 4.0},
            {"spacing": 0.01},
            {"attack": 0, "sustain": 0, "release": 0},
            {"pitches": []},
            {"pitches": [128]},
            {"pitches": 60},
            {"velocity": 0},
        )
    ),
]


@pytest.mark.parametrize("data", BROKEN)
def test_broken_files_are_refused(data):
    with pytest.raises(UserError, match=r"a\.json"):
        sequences.decode("a.json", data, 32, {}.__getitem__)


class Player:
    """Stands in for the instrument: writes down what it is asked to play."""

    def __init__(self):
        self.lock = threading.RLock()
        self.notes = []

    def time(self, when):
        return when

    def set_path(self, client, slot, path, when):
        self.path = path

    def play(self, client, pitch, velocity, id, slot, when, **expression):
        assert slot == SLOT
        self.notes.append((pitch, when, expression))


def test_few_notes_are_asked_for_at_a_time_and_each_well_before_its_own():
    player, over = Player(), []
    long = Sequence(sequences.random_keys(64, 8, 0), 64, 0.1, 0.0, 0.1, 0.5, 0.2, 100, (60, 64, 67))
    Hallucination(player, None, long, 1, 100.0, lambda: over.append(1)).begin()
    at_once = len(player.notes)
    assert at_once * 0.1 >= long.length + AHEAD and at_once < 20
    for ended in range(len(long)):
        assert not over
        _, when, expression = player.notes[ended]
        assert np.isclose(when, 100 + 0.1 * ended)
        assert np.isclose(expression["off"], when + 0.6)
        end = when + long.length
        expression["then"]()
        assert len(player.notes) == min(len(long), at_once + ended + 1)
        if len(player.notes) < len(long):
            assert player.notes[-1][1] - end >= AHEAD - 1e-6
    assert over == [1]
    assert [pitch for pitch, _, _ in player.notes[:4]] == [60, 64, 67, 60]


def test_its_sound_is_the_sum_of_its_notes(model):
    keys = sequences.random_keys(2, 256, 3)
    plain = Sequence(keys, 2, 0.5, 0.0, 0.3, 0.2, 0.4, 30.0, (60, 67))
    sound = np.concatenate(list(render(model, plain, SAMPLE_RATE)), axis=1)
    assert np.array_equal(sound[0], sound[1])
    z = np.stack([plain.latent(n) for n in range(4)])
    waves = model.generate_batch(z, [60, 67, 60, 67])
    rise, stay, fall = (round(t * SAMPLE_RATE) for t in (0.3, 0.2, 0.4))
    envelope = np.concatenate([np.linspace(0, 1, rise), np.ones(stay), np.linspace(1, 0, fall)])
    expected = np.zeros(3 * 8000 + len(envelope))
    for n, wave in enumerate(waves):
        expected[n * 8000 : n * 8000 + len(envelope)] += wave[: len(envelope)] * envelope
    delay = np.argmax(np.correlate(sound[0], expected, "valid"))
    heard = sound[0, delay : delay + len(expected)]
    gain = heard @ expected / (expected @ expected)
    assert gain > 0.05
    assert np.abs(heard - gain * expected).max() < 1e-3 * np.abs(heard).max()
    assert not sound[0, delay + len(expected) :].any()


def test_trim_leaves_out_the_beginning_of_a_note(model):
    spectrum = model.backend.render(model.preset("violin")[None], np.array([36]))[0]

    def sound(skip):
        voices = Voices(SAMPLE_RATE, 1)
        envelope = Envelope(attack=0.0)
        voices.start(Note(None, 0, 60, 100, 60, skip=skip, spectrum=spectrum, envelope=envelope))
        return voices.render(5 * SAMPLE_RATE)[0]

    plain, trimmed = sound(0.0), sound(10 * HOP / SAMPLE_RATE)
    # the first frames overlap with none before them
    assert np.abs(trimmed[3 * HOP : 90 * HOP] - plain[13 * HOP : 100 * HOP]).max() < 1e-5
    assert np.abs(plain).max() > 0.05
    assert np.flatnonzero(trimmed)[-1] == np.flatnonzero(plain)[-1] - 10 * HOP


def test_the_command_writes_sound_and_sequence(tmp_path):
    sound, again, score = (tmp_path / name for name in ("a.wav", "b.wav", "a.json"))
    times = "--spacing 0.2 --attack 0.05 --sustain 0.1 --release 0.1 --rate 16000".split()
    rest = ["--notes", "2", "--steps", "1", "--pitches", "60", "64.5", "--seed", "3", *times]
    cli.main(["hallucinate", "-o", str(sound), "--save", str(score), *rest])
    cli.main(["hallucinate", "-o", str(again), "--load", str(score), "--rate", "16000"])
    first, rate = soundfile.read(sound)
    assert rate == 16000 and first.shape[1] == 2 and len(first) >= 0.65 * rate
    assert np.abs(first).max() > 0.01
    assert np.array_equal(first, soundfile.read(again)[0])  # the same to the sample
    for bad in ([], ["-o", str(sound), "--notes", "0"], ["-o", str(sound), "--sustain", "9"]):
        with pytest.raises(SystemExit, match=r"\w+"):
            cli.main(["hallucinate", *bad])


def test_a_score_plays_the_same_sound(tmp_path):
    times = ["--spacing", "0.3", "--attack", "0.05", "--sustain", "0.2", "--release", "0.1"]
    alone, score = tmp_path / "a.wav", tmp_path / "a.jsonl"
    cli.main(["hallucinate", "-o", str(alone), "--notes", "4", "--steps", "2", *times])
    lines = [
        {"time": 0.5, "message": ["/hallucinate", 4, 2, 0.3, 0, 0.05, 0.2, 0.1, 0]},
        {"time": 4.0, "message": ["/hallucinate", 4, 2, 0.3, 0, 0.05, 0.2, 0.1, 1]},
        {"time": 6.0, "message": ["/hallucinate/stop"]},
    ]
    score.write_text("\n".join(map(json.dumps, lines)))
    cli.main(["render", str(score), "-o", str(tmp_path / "b.wav")])
    first, rate = soundfile.read(alone, dtype="float32")
    both, _ = soundfile.read(tmp_path / "b.wav", dtype="float32")
    start, size = rate // 2, round(3.05 * rate)
    assert not both[:start].any()
    assert np.abs(first[:size]).max() > 0.01
    assert np.abs(both[start : start + size] - first[:size]).max() < 1e-6
    assert 6.05 * rate < len(both) < 6.5 * rate  # the second one was stopped


def test_an_end_sounds_the_same_however_early_it_is_dealt_with(tmp_path, monkeypatch):
    lines = [
        {"time": 0.5, "message": ["/hallucinate", 2, 1, 0.2, 0, 0.1, 0.1, 0.1, 7]},
        {"time": 0.9375, "message": ["/hallucinate/stop"]},
        {"time": 1.0, "message": ["/hallucinate", 3, 5, 0.2, 0, 0.1, 0.3, 0.1, 7]},
        {"time": 1.5, "message": ["/allnotesoff"]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    setting, events = read(tmp_path / "a.jsonl")
    models, sounds = Models(), []
    for lead in (0.0, 0.25, 1.0):
        monkeypatch.setattr("gansynth_server.offline.score_file.LEAD", lead)
        blocks = play.Score(setting, models, SandboxedFolder(None)).play(events)
        sounds.append(np.concatenate(list(blocks), axis=1))
    assert np.abs(sounds[0]).max() > 0.01
    assert 1.55 < sounds[0].shape[1] / setting.rate < 1.7
    for other in sounds[1:]:
        assert np.abs(other - sounds[0]).max() < 1e-6


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def server(root):
    with ServerProcess("--output", "none", "--root", str(root)) as process:
        yield process
        assert process.process.poll() is None and not process.errors, process.errors


@pytest.fixture
def peer(server):
    peer = Peer(server.port)
    assert peer.ask("/notify", 1)[:2] == ("/done", "/notify")
    yield peer
    peer.send("/allsoundoff")
    peer.close()


def heard(peer):
    """Numbers of the notes that began and ended until the hallucination is over."""
    told = {"/note/start": [], "/note/end": [], "/late": [], "/done": []}  # late where others work
    while not told["/done"] or len(told["/note/end"]) < len(told["/note/start"]):
        address, what = peer.receive()[:2]
        told[address].append(what)
    assert told["/done"] == ["/hallucinate"]
    return [[int(id.split()[-1]) for id in told[a]] for a in ("/note/start", "/note/end")]


def test_it_sounds_while_it_is_rendered_and_tells_when_it_is_over(peer):
    begun = time.monotonic()
    reply = peer.ask("/hallucinate", 3, 2, 0.25, 0, 0.05, 0.1, 0.1, 7)
    assert reply[:2] == ("/hallucinate.reply", 7) and np.isclose(reply[2], 6 * 0.25 + 0.25)
    started, ended = heard(peer)
    assert started == sorted(ended) == list(range(7))
    assert time.monotonic() - begun >= 6 * 0.25
    keys = sequences.random_keys(3, 256, 7)
    peer.send("/z/get", SLOT)
    assert np.array_equal(np.float32(peer.until("/z")[2:]), keys[-1])


@pytest.mark.parametrize(
    "by", ["/hallucinate/stop", "/allsoundoff", "/allnotesoff", "/hallucinate"]
)
def test_it_can_be_stopped(peer, by):
    peer.ask("/hallucinate", 64, 64, 0.2, 0, 0.1, 1.0, 0.2)
    for number in range(3):
        assert peer.until("/note/start")[1].endswith(f" {number}")
    peer.send(by, *([1, 0, 1, 0, 0.1, 0.1, 0.1] if by == "/hallucinate" else []))
    peer.until("/done")
    while True:  # all is silent
        peer.send("/status")
        if peer.until("/status.reply")[1:3] == (0, 0):
            break
        time.sleep(0.05)


def test_a_sequence_is_saved_edited_and_played_along_a_melody(peer, root):
    assert peer.ask("/hallucinate/play")[0] == "/fail"
    peer.send("/hallucinate/melody", 60, 67.5)
    peer.send("/hallucinate", 2, 1, 0.1, 0, 0.05, 0.05, 0.05, 7)
    assert heard_after(peer) == 3
    assert peer.ask("/hallucinate/save", "h.json") == ("/done", "/hallucinate/save", "h.json")
    content = json.loads((root / "h.json").read_text())
    assert content["pitches"] == [60, 67.5] and content["steps"] == 1
    content["keys"].append({"preset": "violin"})
    (root / "h.json").write_text(json.dumps(content))
    reply = peer.ask("/hallucinate/load", "h.json")
    assert reply[:4] == ("/done", "/hallucinate/load", "h.json", 5)
    peer.send("/hallucinate/play")
    assert heard_after(peer) == 5
    violin = gs.load("all_instruments").preset("violin")
    peer.send("/z/get", SLOT)
    assert np.allclose(np.float32(peer.until("/z")[2:]), violin)


def heard_after(peer):
    """How many notes were announced, once they have been heard."""
    announced = peer.until("/hallucinate.reply")[1]
    started, _ = heard(peer)
    assert started == list(range(announced))
    return announced


def test_what_cannot_be_is_refused(peer):
    for address, *args in (
        ("/hallucinate", 65),
        ("/hallucinate", 5, 5, 0.01),
        ("/hallucinate", 5, 5, 1, 1, 1, 2, 1),
        ("/hallucinate", 5, 5, 1, 0, 0, 0, 0),
        ("/hallucinate/melody", 60, 128),
        ("/hallucinate/save", "../h.json"),
        ("/hallucinate/save", "h.wav"),
        ("/hallucinate/load", "missing.json"),
    ):
        assert peer.ask(address, *args)[:2] == ("/fail", address), (address, args)
    assert peer.ask("/hallucinate/stop") == ("/done", "/hallucinate/stop")
