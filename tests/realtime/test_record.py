"""Recordings: what is heard, and a score that makes the same sound of it, to the sample."""

import json
import time

import numpy as np
import pytest
import soundfile

from gansynth_server.offline.score import Score
from gansynth_server.offline.score_file import read
from gansynth_server.util.sandbox import SandboxedFolder
from tests.support.client import Client
from tests.support.puller import Puller
from tests.support.server import ServerProcess

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def shared(tiny, tmp_path_factory):
    """A server of the tiny network, and its folder."""
    folder = tmp_path_factory.mktemp("root")
    flags = ("--output", "none", "--backend", "eager", "--root", str(folder))
    with ServerProcess(*flags) as process:
        yield process, folder
        assert process.process.poll() is None, process.errors


@pytest.fixture
def server(shared):
    return shared[0]


@pytest.fixture
def folder(shared):
    """The server's folder, empty."""
    for file in shared[1].iterdir():
        file.unlink()
    return shared[1]


def rendered(path, models, seconds):
    setting, events = read(path)
    score = Score(setting, models, SandboxedFolder(path.parent), seconds)
    return np.concatenate(list(score.play(events)), axis=1)


def compare(folder, models, name="take"):
    """The recording, checked to be what its score makes."""
    live, rate = soundfile.read(folder / f"{name}.wav", dtype="float32", always_2d=True)
    offline = rendered(folder / f"{name}.jsonl", models, len(live) / rate)
    assert offline.T.shape == live.shape
    assert np.abs(live).max() > 1e-3, "nothing was played"
    worst = np.abs(live - offline.T).max()
    print(f"largest difference {worst:.2g} of {np.abs(live).max():.2g}")
    assert worst <= 1e-5  # repitched voices round their places by blocks, of 256 live
    return live


def quiet(peer):
    """Waits until nothing sounds."""
    peer.send("/allsoundoff")
    while peer.ask("/status")[1]:
        time.sleep(0.05)
    time.sleep(0.1)


PLAYED = [
    ("/z/random", "b", 7),
    ("/note", 60, 100),
    ("/note", 64.5, 90, "x", "b"),
    ("/note/bend", 60, 3, 200),
    ("/note", 60, 70),  # again
    ("/note/pan", "all", 0.7, 100),
    ("/z/slerp", "z", "z", "b", 0.5),
    ("/note", 48, 100),
    ("/note/vibrato", 48, 0.5, 6),
    ("/envelope", 0.05, 0.2, 0.5, 0.2),
    ("/hold", 1),
    ("/note", 72, 110, 1),
    ("/note/off", 1),  # perhaps before it has begun
    ("/pedal", 1),
    ("/note", 50, 110, 2),
    ("/note/off", 2),
    ("/note/gain", 2, 0.4, 300),
    ("/pedal", 0),
    ("/play", "s", "violin", "note", 4, "sustain", 0.2),
    ("/allnotesoff",),
    ("/note/hz", 300.0, 90, "f"),
    ("/allsoundoff",),
    ("/note", 70, 90),
    ("/note", 70, 0),
]


SILENCING = ("/allsoundoff", "/allnotesoff", "/note/off")


def warm(port, *messages):
    """Has notes rendered once as a whole, by another client, lest their rests come late."""
    first = Client(port)
    for words in messages:
        if words[0] not in SILENCING and words[2:3] != (0,):
            first.send(*words)
    first.send("/sync", 1)
    first.until("/synced", 60)
    quiet(first)
    first.close()


@pytest.mark.real_time
def test_played_by_hand(server, folder, tiny):
    before = [("/z/random", "z", 3), ("/velocity/curve", 2), ("/tuning", "a4", 430.0)]
    others = [("/z/random", "z", 4), *(("/note", pitch, 60) for pitch in range(40, 52))]
    warm(server.port, *before, *PLAYED)
    warm(server.port, *others)
    peer, other = Client(server.port), Client(server.port)
    for words in before:  # what is set before is written down too
        peer.send(*words)
    other.send(*others[0])
    peer.send("/z/random", "kept")
    peer.send("/synthesize", "whole", 62, "kept")
    peer.until("/synthesized")
    peer.send("/record", "take.wav")
    rng = np.random.default_rng(2)
    for words in PLAYED:
        peer.send(*words)
        if rng.random() < 0.3:
            other.send("/note", 40 + int(rng.integers(12)), 60)
        time.sleep(rng.random() * 0.12)
    peer.send("/z/random", "drawn")
    peer.send("/synthesize", "whole", 62, "drawn")
    peer.until("/synthesized")
    peer.send("/note", 62, 100, "k", "kept")
    peer.send("/note", 62, 100, "d", "drawn")
    peer.send("/nope")
    peer.send("/note", 62, 100, "k", "no such slot")
    time.sleep(0.6)
    peer.send("/record/stop")
    done = peer.until("/done")
    assert done[:3] == ("/done", "/record", "take.wav")
    live = compare(folder, tiny)
    assert live.shape[1] == 2 and done[3] == pytest.approx(len(live) / 48000)
    lines = [json.loads(line) for line in (folder / "take.jsonl").read_text().splitlines()]
    drawn = [m["message"] for m in lines[1:] if m["message"][:2] == ["/z/random", "drawn"]]
    assert len(drawn) == 1 and len(drawn[0]) == 4  # with the seed
    assert not [m for m in lines[1:] if "no such slot" in m["message"]]
    assert len({m["client"] for m in lines[1:] if m["message"][0] == "/note"}) == 2
    for each in (peer, other):
        quiet(each)
        each.close()


@pytest.mark.real_time
def test_sent_ahead_into_a_stream(server, folder, tiny):
    with Puller(server.port) as listener, listener.in_real_time():
        peer = Client(server.port)
        peer.ask("/stream/join", listener.stream)
        peer.send("/z/random", "a", 1)
        peer.send("/z/random", "b", 2)
        time.sleep(1.5)
        peer.send("/record", "take.wav")
        begin = time.time() + 0.6
        for n in range(8):
            peer.send_at(begin + n * 0.25, ("/z/lfo", "l", "a", "b", 1.0 + n))
            peer.send_at(begin + n * 0.25 + 0.1, ("/note", 50 + n % 3, 100))
            peer.send_at(begin + n * 0.25 + 0.1, ("/note", 70, 100, f"l{n}", "l"))
            peer.send_at(begin + n * 0.25 + 0.2, ("/note/off", f"l{n}"))
        time.sleep(3)
        peer.send("/record/stop")
        assert peer.until("/done")[1] == "/record"
        peer.close()
    compare(folder, tiny)


def test_notes_that_sound_already_are_not_in_the_score(server, folder, tiny):
    peer = Client(server.port)
    peer.ask("/notify", 1)
    peer.send("/note", 60, 100)
    peer.until("/note/start")
    peer.send("/record", "take.wav")
    time.sleep(0.3)
    peer.send("/record/stop")
    peer.until("/done")
    lines = (folder / "take.jsonl").read_text()
    assert "/z/set" in lines and "/note" not in lines
    assert np.abs(soundfile.read(folder / "take.wav")[0]).max() > 1e-4
    peer.close()


def test_what_cannot_be_recorded(server, folder):
    peer, other = Client(server.port), Client(server.port)
    for name, why in [
        ("take.mp3", ".wav or .flac"),
        ("../take.wav", "leads out"),
        ("take", ".wav or .flac"),
    ]:
        fail = peer.ask("/record", name)
        assert fail[:2] == ("/fail", "/record") and why in fail[2]
    assert peer.ask("/record/stop")[:2] == ("/fail", "/record/stop")
    peer.send("/record", "take.flac")
    fail = other.ask("/record", "other.wav")
    assert fail[:2] == ("/fail", "/record") and "recorded already" in fail[2]
    time.sleep(0.3)
    assert not (folder / "take.flac").exists()  # not before it is whole
    other.send("/record/stop")  # whoever is heard there may end it; who began it is told
    assert peer.until("/done")[:3] == ("/done", "/record", "take.flac")
    sound, rate = soundfile.read(folder / "take.flac")
    assert rate == 48000 and sound.shape[1] == 2
    assert sorted(p.name for p in folder.iterdir()) == ["take.flac", "take.jsonl"]
    peer.close()
    other.close()


def test_without_root():
    with ServerProcess("--output", "none") as process:
        peer = Client(process.port)
        fail = peer.ask("/record", "take.wav")
        assert fail[:2] == ("/fail", "/record") and "--root" in fail[2]
        peer.close()


def test_the_end_of_the_server_ends_a_recording(tiny, tmp_path):
    with ServerProcess("--output", "none", "--root", str(tmp_path)) as process:
        peer = Client(process.port)
        peer.send("/record", "take.wav")
        time.sleep(0.3)
        assert peer.ask("/quit") == ("/done", "/quit")
        assert process.process.wait(timeout=20) == 0
        assert soundfile.info(tmp_path / "take.wav").frames > 4800
