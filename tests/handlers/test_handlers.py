"""Which handler a row of the table has, and what handlers do with a client."""

import threading

import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server import handlers
from gansynth_server.handlers import LIVE, PLAYING, Handlers
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.client import MAX_CHOKES, Client
from gansynth_server.instrument.hallucination import SLOT
from gansynth_server.instrument.tuning import Tuning
from gansynth_server.net.sessions import Session
from gansynth_server.offline.score import Score
from gansynth_server.offline.score_file import Event, Setting
from gansynth_server.osc.codec import Message, decode
from gansynth_server.osc.schema import Row, parse
from gansynth_server.osc.table import ROWS, TABLE
from gansynth_server.render.models import Models
from gansynth_server.util.sandbox import SandboxedFolder
from tests.support.stage import Stage

# rows and handlers


def test_every_row_has_exactly_one_handler():
    for row in TABLE:
        groups = [group for group in (*PLAYING, *LIVE) if hasattr(group, row.method)]
        assert len(groups) == 1, row.address
        assert (groups[0] in LIVE) == row.live, row.address


def test_every_handler_has_a_row():
    methods = {row.method for row in TABLE}
    for group in (*PLAYING, *LIVE):
        public = {name for name in vars(group) if not name.startswith("_")}
        assert public <= methods, group


class Loud:
    def loud(self, request):
        pass


def test_a_row_with_no_handler_or_two_is_an_error():
    row = Row("/loud", (), "", "is loud")
    Handlers([Loud()], [row])
    for groups in ([], [Loud(), Loud()]):
        with pytest.raises(LookupError, match=f"/loud has {len(groups)} handlers"):
            Handlers(groups, [row])


# a client and its messages


class Background:
    def run(self, request, address, work, task=None):
        work()


class Playing(Stage):
    """Handlers of a score around an instrument whose bus is rendered by hand."""

    def __init__(self, model):
        super().__init__(model, 16000, batch=True)
        self.models, self.root, self.background = Models(), SandboxedFolder(None), Background()
        self.session = Session(("here", 1), self.client, 0.0)
        self.replies: list[Message] = []
        self.handlers = handlers.playing(self)

    def send(self, address, *args):
        row = ROWS[address]
        request = Request(self.session, self._reply)
        self.handlers(request, row, parse(row, args))

    def _reply(self, source, datagram):
        self.replies += [message for _, message in decode(datagram)]


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments_lite")


@pytest.fixture
def stage(model):
    made = Playing(model)
    yield made
    made.close()


def test_a_message_to_a_running_server_does_nothing_in_a_score(stage, model):
    state = dict(vars(stage.client))
    for row in (row for row in TABLE if row.live):
        stage.handlers(Request(stage.session, stage._reply), row, [])
    assert not stage.replies and vars(stage.client) == state
    score = Score(Setting(checkpoint="all_instruments_lite"), Models(), stage.root)
    events = [
        Event(0.0, Message(address, args), "here")
        for address, args in (("/note", (60, 100)), ("/quit", ()), ("/record", ("a.wav",)))
    ]
    assert np.abs(np.concatenate(list(score.play(events)), axis=1)).max() > 0.01


WRITES = [
    ("/hold", 1),
    ("/hold/region", 0.5, 1.0),
    ("/envelope", 0.01, 0.1, 0.5, 0.2),
    ("/velocity/curve", 2.0),
    ("/pressure", "bend", 2.0),
    ("/pedal", 1),
    ("/choke", "z", "hat"),
    ("/tuning", "a4", 442.0),
    ("/hallucinate/melody", 60.0, 64.0),
    ("/hallucinate", 2, 1),
    ("/hallucinate", 2, 1),
    ("/hallucinate/stop",),
    ("/checkpoint/load", "all_instruments_lite"),
]


def test_a_client_is_changed_under_its_lock_alone(stage, monkeypatch):
    written = set()

    def write(client, name, value):
        assert client.lock._is_owned(), name
        written.add(name)
        object.__setattr__(client, name, value)

    monkeypatch.setattr(Client, "__setattr__", write)
    for message in WRITES:
        stage.send(*message)
    stage.client.set_bus(stage.bus)
    assert written >= {"style", "tuning", "melody", "sequence", "hallucination", "model", "bus"}
    style = stage.client.style
    assert style.hold and style.velocity_curve == 2.0 and style.pressure_target == ("bend", 2.0)
    assert style.pedal_down and dict(style.choke_groups) == {"z": "hat"}
    assert stage.client.tuning == Tuning(a4=442.0)


def test_choke_groups_are_bounded(stage):
    for n in range(MAX_CHOKES):
        stage.send("/choke", f"s{n}", "g")
    stage.send("/choke", "s0", "other")  # one that is in a group already
    with pytest.raises(gs.UserError, match="free one first"):
        stage.send("/choke", "one more", "g")
    stage.send("/choke", "s1")
    stage.send("/choke", "one more", "g")


def test_writers_on_two_threads_lose_nothing(stage):
    client = stage.client

    def choke(first):
        for n in range(first, first + 200):
            client.set_choke(f"s{n}", "g")

    threads = [threading.Thread(target=choke, args=(200 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.style.choke_groups) == 800


# hallucinations


def test_a_users_id_is_no_note_of_a_hallucination(stage):
    stage.send("/hallucinate", 4, 4, 0.2)
    stage.send("/note", 60, 100, "hallucination 1 x")
    stage.run(0.5)
    ours = [p for p in stage.client.notes.values() if p.sequencer is stage.client.hallucination]
    assert ours and all(str(p.id).startswith(f"{SLOT} 1 ") for p in ours)
    stage.send("/hallucinate/stop")
    assert list(stage.client.notes) == ["hallucination 1 x"]
    stage.run(0.2)
    assert [id for id, n in stage.notes.items() if n.off is None] == ["hallucination 1 x"]


# patterns


def test_a_slot_that_only_reads_like_a_sound_is_filled(stage, model):
    preset, other = list(model.presets)[:2]
    text = f"sound of {model.checkpoint.name}"
    stage.instrument.set_latent(stage.client, f"{preset}:0", model.preset(other), None, text)
    stage.send("/play", "s", preset)
    held = stage.instrument.latent(stage.client, f"{preset}:0")
    assert np.array_equal(held, model.preset(preset))
    before = stage.client.latents.path(f"{preset}:0", 0.0)
    stage.send("/play", "s", preset)
    assert stage.client.latents.path(f"{preset}:0", 0.0) is before
