"""Sessions in files, undoing, and time in beats: what handlers make of them."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server import handlers
from gansynth_server.engine.commands import Timed
from gansynth_server.engine.engine import BusState
from gansynth_server.engine.handle import BusHandle
from gansynth_server.errors import UserError
from gansynth_server.handlers import sessions
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.instrument.tempo import Tempo, Tempos
from gansynth_server.instrument.tuning import Tuning
from gansynth_server.latent.history import MAX_QUICK, MAX_STEPS
from gansynth_server.midi.clock import MidiClock
from gansynth_server.net.sessions import Session
from gansynth_server.options import ServerOptions
from gansynth_server.osc.codec import Message, decode
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.recording.client_state import flat, state
from gansynth_server.render.models import Models
from gansynth_server.render.offline import BatchRenderer
from gansynth_server.synth.link import LinkState
from gansynth_server.util.beats import Beats
from gansynth_server.util.sandbox import SandboxedFolder
from tests.support.scales import MAJOR


@cache
def model():
    return gs.load("all_instruments")


class Stage:
    """A host without a clock of its own: ``now`` is the time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.models, self.root = Models(), SandboxedFolder(folder)
        self.background, self.now = self, 10.0
        posted: list[Timed] = []
        state = BusState(LinkState(16000, seen=math.inf))
        self.bus = BusHandle(0, 16000, 1, 16, posted.append, lambda: state, lambda spectrum: None)
        self.instrument = Instrument(
            *(BatchRenderer(), 1, lambda *told: None, lambda spectrum: None), lambda: self.now
        )
        self.handlers = handlers.playing(self)

    def run(self, request, address, work, task=None):
        work()

    def client(self):
        client = self.instrument.add_client(1, model(), self.bus)
        return Player(self, Session(("here", id(client)), client, 0.0))


class Player:
    def __init__(self, stage: Stage, session: Session) -> None:
        self.stage, self.session = stage, session
        self.client = session.client
        self.replies: list[Message] = []

    def send(self, address, *args):
        """Handle a message; the last reply, or the reason of its failure."""
        self.replies.clear()
        failed = []
        request = Request(self.session, self._hear)
        dispatch(
            Message(address, args),
            lambda row, values: self.stage.handlers(request, row, values),
            lambda *why: failed.append(why[1]),
        )
        if failed:
            return failed[0]
        return (self.replies[-1].address, *self.replies[-1].args) if self.replies else None

    def _hear(self, source, datagram):
        self.replies.append(decode(datagram)[0][1])

    def z(self, slot="z"):
        return self.client.latents.at(slot, self.stage.now)

    def held(self, slot="z"):
        return str(self.client.latents.path(slot, self.stage.now))


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


@pytest.fixture
def player(stage):
    return stage.client()


# sessions


def prepare(player: Player) -> None:
    """Set everything that a session keeps."""
    for words in (
        ("/z/preset", "z", "violin"),
        ("/z/random", "pad", 7, 0.5),
        ("/z/walk", "w", 0.5, 1.0, 3),
        ("/z/follow", "pad", 1),
        ("/envelope", 0.05, 0.25, 0.5, 1.5, -2.0),
        ("/hold", 1),
        ("/hold/region", 1.0, 2.0),
        ("/velocity/curve", 2.0),
        ("/pressure", "brightness", 6.0),
        ("/choke", "pad", "group"),
        ("/tuning", "scl", MAJOR),
        ("/tuning", "a4", 432.0),
        ("/hallucinate/melody", 60.0, 64.5, 67.0),
        ("/tempo", 90.0, 4.0),
    ):
        said = player.send(*words)
        assert said is None or said[0].endswith(".reply"), said


def everything(player: Player) -> list[object]:
    words = [
        tuple(round(v, 6) if isinstance(v, float) else v for v in (w[0], *flat(w[1:])))
        for w in state(player.client, player.stage.now)
    ]
    return [*words, player.client.melody]


def test_a_session_comes_back_as_it_was(stage, player, tmp_path):
    prepare(player)
    assert player.send("/session/save", "mine.json") == ("/done", "/session/save", "mine.json", 3)
    other = stage.client()
    assert everything(other) != everything(player)
    assert other.send("/session/load", "mine.json") == ("/done", "/session/load", "mine.json", 3)
    assert everything(other) == everything(player)
    # the presets chosen are told by name
    assert other.held("z") == "preset violin" and other.held("pad").startswith("random seed 7")
    assert np.array_equal(other.z("w"), player.z("w"))
    assert other.client.tuning.a4 == 432 and other.client.tuning != Tuning()
    content = json.loads((tmp_path / "mine.json").read_text())
    assert content["session"] == 1 and content["checkpoint"] == "all_instruments"


def test_slots_of_other_names_stay(stage, player):
    player.send("/session/save", "a.json")
    player.send("/z/random", "more", 1)
    player.send("/session/load", "a.json")
    assert set(player.client.latents) == {"z", "more"}


def test_a_session_of_another_checkpoint_brings_it(stage, player):
    player.send("/checkpoint/load", "acoustic_only")
    player.send("/z/preset", "z", "flute")
    player.send("/session/save", "a.json")
    other = stage.client()
    other.send("/session/load", "a.json")
    assert other.client.model.checkpoint.name == "acoustic_only"
    assert np.array_equal(other.z(), player.z())


def changed(tmp_path, player, **changes) -> str:
    player.send("/session/save", "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps({**content, **changes}))
    return "b.json"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"session": 2}, "its format is 2"),
        ({"messages": 5}, "is no session"),
        ({"messages": [[]]}, "a list of its address"),
        ({"messages": [["/quit"]]}, "it holds /quit"),
        ({"messages": [["/session/load", "b.json"]]}, "it holds /session/load"),
        ({"messages": [["/note", 60, 100]]}, "it holds /note"),
        ({"messages": [["/hold", 7]]}, "/hold: on must be 0 to 1, not 7"),
        ({"messages": [["/z/set", "z", 1.0]]}, "has 256 numbers, not 1"),
        ({"messages": [["/z/set", "z", *[float("nan")] * 256]]}, "not finite"),
        ({"messages": [["/z/set", "z", [1]]]}, "no number and no word"),
        ({"messages": [["/hold"]] * 9000}, "more than 8192"),
        ({"checkpoint": "nowhere"}, "nowhere"),
    ],
)
def test_files_that_are_no_sessions(player, tmp_path, changes, words):
    assert words in player.send("/session/load", changed(tmp_path, player, **changes))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_no_json(player, tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    assert "a.json is no session" in player.send("/session/load", "a.json")


def test_names_of_files(player):
    for message in ("/session/save", "/session/load"):
        assert ".json file" in player.send(message, "a.npz")
        assert "leads out" in player.send(message, "../a.json")
    assert "cannot read" in player.send("/session/load", "none.json")


def test_a_server_begins_with_a_session(stage, player, tmp_path):
    prepare(player)
    player.send("/session/save", "a.json")
    saved = sessions.saved(str(tmp_path / "a.json"))
    assert sessions.checkpoint_of(ServerOptions(), saved) == "all_instruments"
    assert sessions.checkpoint_of(ServerOptions(checkpoint="acoustic_only"), saved) == (
        "acoustic_only"
    )
    other = stage.client()
    sessions.begin(stage, saved, other.client)
    assert everything(other) == everything(player)
    assert "nothing to undo" in other.send("/undo")
    assert sessions.saved(None) is None
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError, match=r"--session .* cannot be read"):
            sessions.saved(str(path))


# undo and redo


def test_undo_and_redo(player):
    first = player.z()
    player.send("/z/preset", "z", "violin")
    player.send("/z/preset", "z", "flute")
    player.send("/z/random", "new", 1)
    assert player.send("/undo") == ("/done", "/undo", "new")
    assert "new" not in player.client.latents
    assert player.send("/undo") == ("/done", "/undo", "z") and player.held() == "preset violin"
    assert player.send("/redo") == ("/done", "/redo", "z") and player.held() == "preset flute"
    for _ in range(2):
        player.send("/undo")
    assert np.array_equal(player.z(), first)
    for _ in range(3):
        assert player.send("/redo")[0] == "/done"
    assert player.held() == "preset flute" and player.held("new").startswith("random seed 1")
    assert "nothing to redo" in player.send("/redo")


def test_a_change_after_an_undo_ends_redoing(player):
    player.send("/z/preset", "z", "violin")
    player.send("/undo")
    player.send("/z/preset", "z", "flute")
    assert "nothing to redo" in player.send("/redo")
    player.send("/undo")
    assert player.held().startswith("random seed")


def test_paths_that_move_come_back(player):
    player.send("/z/walk", "z", 0.5, 1.0, 3)
    walking = player.z()
    player.send("/z/freeze", "z")
    player.send("/undo")
    assert "walk" in player.held() and np.array_equal(player.z(), walking)


def test_the_first_fill_is_not_undone(player):
    """The slot z is filled from the beginning, so it is never emptied."""
    assert "nothing to undo" in player.send("/undo")
    player.send("/z/random", "z", 1)
    assert player.send("/undo") == ("/done", "/undo", "z")
    assert "nothing to undo" in player.send("/undo") and "z" in player.client.latents


def test_a_slot_that_is_followed_is_not_emptied(player):
    player.send("/z/random", "f", 1)
    player.send("/z/follow", "f", 1)
    player.send("/undo")
    assert "f" in player.client.latents


def test_a_slider_counts_as_one(player):
    for n in range(200):
        player.stage.now += 0.02
        player.send("/z/slerp", "s", "z", "z", n / 200)
    steps = 0
    while player.send("/undo")[0] == "/done":
        steps += 1
    assert steps == MAX_QUICK


def test_what_patterns_and_the_server_fill_is_not_undone(player):
    player.send("/play", "s", "violin", "n", 2)
    player.send("/hallucinate", 2, 0, 0.1)
    assert "nothing to undo" in player.send("/undo")


def test_so_many_steps_are_kept(player):
    for n in range(2 * MAX_STEPS):
        player.stage.now += 1
        player.send("/z/random", "z", n)
    steps = 0
    while player.send("/undo")[0] == "/done":
        steps += 1
    assert steps == MAX_STEPS and player.held().startswith("random seed 99 ")


# beats


def test_tempo(stage, player):
    assert player.send("/tempo") == ("/tempo.reply", 120.0, 20.0)  # 10 s since the clock's 0
    assert player.send("/tempo", 60, 0) == ("/tempo.reply", 60.0, 0.0)
    stage.now += 3
    assert player.send("/tempo") == ("/tempo.reply", 60.0, 3.0)
    assert player.send("/tempo", 120) == ("/tempo.reply", 120.0, 3.0)  # the beats count on
    stage.now += 1
    assert player.send("/tempo") == ("/tempo.reply", 120.0, 5.0)
    assert player.send("/tempo", None, 8) == ("/tempo.reply", 120.0, 8.0)
    assert stage.client().send("/tempo")[1] == 120.0  # each client has its own
    assert player.send("/tempo/follow") == ("/done", "/tempo/follow")
    assert player.send("/tempo") == ("/tempo.reply", 120.0, 28.0)
    for wrong in (0, 1001, -5):
        assert "bpm must be 1 to 1000" in player.send("/tempo", wrong)


@pytest.mark.parametrize(
    ("beats", "hertz"), [("4b", 0.25), ("1b", 1.0), ("1/2b", 2.0), ("0.5beats", 2.0), ("1beat", 1)]
)
def test_an_lfo_in_beats(stage, player, beats, hertz):
    """It turns once in so many beats, and begins with a beat that is a multiple of them."""
    player.send("/tempo", 60, 0)
    stage.now += 1.3
    for slot, seed in (("a", 1), ("b", 2)):
        player.send("/z/random", slot, seed)
    player.send("/z/lfo", "l", "a", "b", beats, "saw")
    begun = 10.0 + 1.3 // (1 / hertz) / hertz
    assert f"lfo saw {hertz:g} Hz" in player.held("l")
    stage.now = begun + 5 / hertz
    assert np.allclose(player.z("l"), player.z("a"), atol=1e-4)


def test_a_walk_in_beats(player):
    player.send("/tempo", 90)
    player.send("/z/walk", "w", "2b", 1.0, 1)
    assert player.held("w").startswith("walk speed 0.75 ")


def test_a_hallucination_in_beats(player):
    player.send("/tempo", 120)
    reply = player.send("/hallucinate", 2, 1, "1b", 0.0, "1/8b", "2b", "1b", 7)
    sequence = player.client.sequence
    assert (sequence.spacing, sequence.attack, sequence.sustain) == (0.5, 0.0625, 1.0)
    assert sequence.release == 0.5 and reply[0] == "/hallucinate.reply"
    player.send("/tempo", 1)
    assert "attack of 4b is 240 s at 1 bpm: 0 to 4 s" in player.send(
        "/hallucinate", 2, 1, 1.0, 0.0, "4b"
    )


@pytest.mark.parametrize("wrong", ["b", "-1b", "1/0b", "x", "9999b", "1e3b", "1 b", "0b"])
def test_what_is_no_rate_in_beats(player, wrong):
    for slot in "ab":
        player.send("/z/random", slot, 1)
    assert isinstance(player.send("/z/lfo", "l", "a", "b", wrong), str)


def test_beats_are_recorded_as_they_were_written():
    assert list(flat(["w", Beats(2.0), 1.0, Beats(1 / 4), Beats(1 / 3)])) == [
        *("w", "2b", 1.0, "0.25b", "0.333333333b")
    ]


def test_seconds_and_beats():
    tempo = Tempo(90, 100.0, 4.0)
    for beat in (-3.0, 0.0, 4.0, 17.25):
        assert tempo.beat_at(tempo.seconds_at(beat)) == pytest.approx(beat)
    assert tempo.seconds_at(7) == pytest.approx(102)
    assert tempo.last_multiple(4, 102.0) == pytest.approx(100)
    assert tempo.last_multiple(3, 102.0) == pytest.approx(100 + 2 * 2 / 3)


# MIDI's clock


class Someone:
    """A client of its own tempo: none."""


SOMEONE = Someone()


def ticks(clock: MidiClock, bpm: float, count: int, begin: float = 5.0, jitter: float = 0.0):
    rng = np.random.default_rng(0)
    for n in range(count):
        clock.take("clock", begin + n * 2.5 / bpm + rng.uniform(-jitter, jitter))
    return begin + (count - 1) * 2.5 / bpm


@pytest.mark.parametrize("bpm", [30, 60, 118.5, 174, 400])
def test_a_clock_sets_the_tempo(bpm):
    tempos = Tempos()
    clock = MidiClock(tempos)
    assert clock.take("start", 4.9)
    end = ticks(clock, bpm, 100, jitter=0.001)
    found = tempos.of(SOMEONE)
    assert found.bpm == pytest.approx(bpm, rel=0.02)
    assert found.beat_at(end) == pytest.approx(99 / 24, abs=0.05)


def test_a_clock_that_stands_still_or_starts_again():
    tempos = Tempos()
    clock = MidiClock(tempos)
    ticks(clock, 120, 60)
    end = ticks(clock, 60, 60, begin=100.0)
    assert tempos.of(SOMEONE).bpm == pytest.approx(60)
    assert clock.take("stop", end) and clock.take("continue", end) and clock.take("songpos", end)
    clock.take("start", 200.0)
    end = ticks(clock, 60, 25, begin=200.0)
    assert tempos.of(SOMEONE).beat_at(end) == pytest.approx(1.0)
    assert not clock.take("note_on", 0.0)
    for _ in range(50):  # all at once is no tempo
        clock.take("clock", 300.0)
    assert tempos.of(SOMEONE).bpm == pytest.approx(60)
