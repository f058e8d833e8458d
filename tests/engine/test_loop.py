"""The engine's loop in a thread: pulls over a real socket, commands and events over another."""

from __future__ import annotations

import functools
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gansynth_server.audio.paced import NullOutput
from gansynth_server.engine import loop as module
from gansynth_server.engine.commands import (
    Change,
    CloseBus,
    CloseStream,
    Command,
    Go,
    NewNote,
    OpenBus,
    OpenStream,
    Pull,
    Quit,
    Release,
    Start,
    Timed,
    Took,
)
from gansynth_server.engine.engine import Engine
from gansynth_server.engine.events import (
    Block,
    Ended,
    Event,
    Freed,
    Heard,
    Lost,
    Pulled,
    Started,
)
from gansynth_server.engine.gauges import Gauges
from gansynth_server.engine.loop import EngineLoop
from gansynth_server.engine.record_socket import RecordSocket
from gansynth_server.engine.udp import UdpSockets
from gansynth_server.osc.codec import decode, encode
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.note import Note
from tests.support import notes

RATE, BLOCK = 48000, 512
GAIN = 0.5
TIMEOUT_S = 20
NOWHERE = ("127.0.0.1", 1)
SOUND = notes.spectrum(0.03)


@functools.cache
def sound_of(slot: int) -> Spectrum:
    """The one spectrum, in any place."""
    return replace(SOUND, slot=slot)


class HeardOutput(NullOutput):
    """Keeps what it plays."""

    def __init__(self, blocksize: int) -> None:
        super().__init__(rate=RATE, blocksize=blocksize)
        self.blocks: list[np.ndarray] = []

    def put(self, block: np.ndarray) -> None:
        self.blocks.append(block)
        super().put(block)


class Running:
    """A loop in a thread, its socket, and the other end of its commands and events."""

    def __init__(self, blocksize: int = 256, buses: int = 40) -> None:
        self.records, theirs = RecordSocket.pair()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.output = HeardOutput(blocksize)
        self.gauges = Gauges(buses)
        self.events: list[Event] = []
        self.ended = threading.Event()
        self.loop = EngineLoop(
            lambda tell: Engine(sound_of, tell, live=True),
            *(theirs, UdpSockets([self.socket]), self.output, self.gauges),
        )
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run(lambda: (0, 0.0))
        except BaseException as error:
            self.error = error
        self.ended.set()

    def send(self, *commands: Command | Timed) -> None:
        """Send commands together."""
        timed = [c if isinstance(c, Timed) else Timed(c, None, 0) for c in commands]
        self.records.put(timed)
        assert self.records.flush(TIMEOUT_S)

    def wait(self, happened: Callable[[], bool]) -> None:
        """Receive events until something has happened."""
        deadline = time.monotonic() + TIMEOUT_S
        while not happened():
            assert not self.ended.is_set(), self.error
            left = deadline - time.monotonic()
            assert left > 0, self.events
            if select.select([self.records], [], [], min(left, 0.1))[0]:
                self.events += self.records.receive()

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def stop(self) -> None:
        if not self.ended.is_set():
            self.send(Quit())
            assert self.ended.wait(TIMEOUT_S)
        self.thread.join()
        self.records.close()
        self.socket.close()


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.stop()
    assert made.error is None


class Listener:
    """A UDP socket that pulls one stream."""

    def __init__(
        self,
        running: Running,
        stream: int,
        bus: int,
        rate: int = RATE,
        block: int = BLOCK,
        ahead: int = 4,
        channels: int = 1,
    ) -> None:
        self.running, self.stream, self.bus = running, stream, bus
        self.rate, self.block, self.channels = rate, block, channels
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(TIMEOUT_S)
        self.address = self.socket.getsockname()
        self.form = OpenStream(stream, self.address, self.address, bus, block, ahead)
        self.number = 0

    def open(self) -> tuple[OpenBus, OpenStream]:
        return OpenBus(self.bus, self.rate, self.channels, 8, GAIN), self.form

    def ask(self, number: int) -> None:
        pull = encode("/stream/pull", float(number), float(self.stream))
        self.socket.sendto(pull, self.running.address)

    def answer(self) -> tuple[int, np.ndarray]:
        """The number and the sound [channels, block] of the next answer."""
        messages = [message for _, message in decode(self.socket.recv(65536))]
        assert [message.address for message in messages] == ["/b", "/r"][: self.channels]
        number, onset = messages[0].args[:2]
        assert onset == number % 64 * self.block
        return int(number), np.float32([message.args[2:] for message in messages])

    def pull(self) -> np.ndarray:
        self.ask(self.number)
        number, sound = self.answer()
        assert number == self.number
        self.number += 1
        return sound

    def listen(self, blocks: int) -> np.ndarray:
        return np.concatenate([self.pull() for _ in range(blocks)], axis=1)


@pytest.fixture
def listen(running: Running) -> Iterator[Callable[..., Listener]]:
    """Makes listeners of the loop."""
    made: list[Listener] = []

    def make(*args: Any, **kwargs: Any) -> Listener:
        made.append(Listener(running, *args, **kwargs))
        return made[-1]

    yield make
    for listener in made:
        listener.socket.close()


def alone(rate: int, block: int, blocks: int, *play: Timed, channels: int = 1) -> np.ndarray:
    """What an engine of its own renders of some commands."""
    engine = Engine(sound_of, lambda event: None, live=True)
    for timed in (Timed(OpenBus(0, rate, channels, 8, GAIN)), *play):
        engine.post(timed)
    bus = engine.buses[0]
    return np.concatenate([bus.render(block) for _ in range(blocks)], axis=1)


def tune(bus: int, first: int) -> list[Timed]:
    """Commands for a bus, whose notes are numbered from the first on."""
    commands: list[tuple[Command, float | None]] = []
    for n in range(3):
        note = Note(1, first + n, 60 + 0.3 * n, 90, 60, hold=n == 1, pan=0.4 * n - 0.4)
        commands += [(NewNote(bus, note), None), (Start(first + n, n), 0.0101 * n)]
    commands += [
        (Change(first + 1, 0.05, {"bend": 1.5}), 0.03),
        (Release(first + 1, 0.08), 0.08),
        (Change(first + 2, 0.01, {"gain": 0.3}), 0.1003),
    ]
    return [Timed(command, when, 0) for command, when in commands]


# the socket


def test_pulls_are_answered_once_it_goes(running, listen):
    listener = listen(12345, 1)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *listener.open())
    listener.ask(0)
    listener.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        listener.socket.recv(65536)
    listener.socket.settimeout(TIMEOUT_S)
    running.send(Go(0))
    assert listener.answer()[0] == 0  # it waited in the socket
    running.wait(lambda: running.told(Pulled) == [Pulled(12345)])
    listener.number = 1
    listener.listen(20)
    assert len(running.told(Pulled)) == 1 and not running.told(Heard)


def test_all_else_is_told_with_its_source(running, listen):
    listener, stranger = listen(12345, 1), listen(12345, 1)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *listener.open(), Go(0))
    datagrams = [
        encode("/note", 60, 100),
        encode("/stream/pull", 0.0, 54321.0),  # no such stream
        encode("/stream/pull", "x", 12345.0),
        b"\xff" * 9000,
        b"",
    ]
    for datagram in datagrams:
        listener.socket.sendto(datagram, running.address)
    stranger.ask(0)  # of a stream that is another's

    def heard():
        return [pair for event in running.told(Heard) for pair in event.datagrams]

    running.wait(lambda: len(heard()) == len(datagrams) + 1)
    # the clients in turns, each client's in their order
    mine = [datagram for datagram, source in heard() if source == listener.address]
    pull = encode("/stream/pull", 0.0, 12345.0)
    assert mine == datagrams and (pull, stranger.address) in heard()
    assert not running.told(Pulled)
    listener.pull()


def test_a_stream_without_an_address_is_told_its_blocks(running):
    running.send(OpenBus(0, RATE, 1, 4, GAIN), OpenBus(1, RATE, 1, 4, GAIN), Go(0))
    running.send(
        OpenStream(7, NOWHERE, None, 1, BLOCK, 4), Pull(7, 0), Pull(7, 1), Pull(8, 0), Pull(7, 0)
    )
    running.wait(lambda: len(running.told(Block)) == 3)
    numbers = [decode(event.datagram)[0][1].args[0] for event in running.told(Block)]
    assert numbers == [0, 1, 0] and {event.stream for event in running.told(Block)} == {7}


def test_a_closed_stream_is_answered_no_more(running, listen):
    listener = listen(12345, 1)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *listener.open(), Go(0))
    listener.listen(3)
    running.send(CloseStream(12345))
    running.send(CloseStream(12345))
    listener.ask(3)
    running.wait(lambda: bool(running.told(Heard)))


def test_datagrams_are_told_as_fast_as_they_are_taken_and_others_are_lost(
    running, listen, monkeypatch
):
    monkeypatch.setattr(module, "MAX_INBOX_PER_CLIENT", 20)
    quick = Running()  # has the smaller inbox
    try:
        quick.send(OpenBus(0, RATE, 1, 4, GAIN), Go(0))
        flood, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for number in range(100):
            flood.sendto(b"%d" % number, quick.address)
        quick.wait(lambda: bool(quick.told(Heard)))
        other.sendto(b"other", quick.address)
        heard = lambda: [d for event in quick.told(Heard) for d, _ in event.datagrams]  # noqa: E731
        while not quick.told(Lost):
            before = len(heard())
            quick.send(Took(len(heard())) if before <= module.MAX_UNTAKEN else Took(1))
            quick.wait(lambda before=before: len(heard()) > before or bool(quick.told(Lost)))
        lost = quick.told(Lost)
        assert sum(event.count for event in lost) + len(heard()) == 101 and len(lost) == 1
        assert b"other" in heard()
        assert [d for d in heard() if d != b"other"] == sorted(
            (d for d in heard() if d != b"other"), key=int
        )
    finally:
        quick.stop()


# the sound


@pytest.mark.parametrize("rate", [48000, 44100, 16000, 22050])
@pytest.mark.parametrize("block", [16, 64, 441, 512, 4096])
def test_a_stream_is_what_an_engine_alone_renders(running, listen, rate, block):
    blocks = max(4, round(0.2 * rate / block))
    listener = listen(12345, 1, rate, block, channels=2)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *listener.open(), *tune(1, 1), Go(0))
    heard = listener.listen(blocks)
    expected = alone(rate, block, blocks, *tune(0, 1), channels=2)
    assert np.abs(expected).max() > 0.005
    assert np.abs(heard - expected).max() <= 1e-5


def test_streams_of_all_kinds_are_rendered_together_as_alone(running, listen):
    kinds = [
        (48000, 512, 1),
        (48000, 512, 2),
        (44100, 512, 1),
        (44100, 64, 2),
        (48000, 16, 1),
        (16000, 256, 1),
        (22050, 441, 2),
        (48000, 4096, 1),
    ]
    listeners = [
        listen(100 + n, n + 1, rate, block, channels=channels)
        for n, (rate, block, channels) in enumerate(kinds)
    ]
    opened = [command for listener in listeners for command in listener.open()]
    played = [timed for n in range(len(kinds)) for timed in tune(n + 1, 10 * n)]
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *opened, *played, Go(0))
    sounds = defaultdict(list)
    for at in range(40):
        for listener in listeners:
            listener.ask(at)
        for listener in listeners:
            number, sound = listener.answer()
            assert number == at
            sounds[listener].append(sound)
    for n, (listener, (rate, block, channels)) in enumerate(zip(listeners, kinds, strict=True)):
        expected = alone(rate, block, 40, *tune(0, 10 * n), channels=channels)
        assert np.abs(np.concatenate(sounds[listener], axis=1) - expected).max() <= 1e-5
    assert np.abs(expected).max() > 0.005


def test_many_streams_share_passes_and_each_has_its_blocks(running, listen, monkeypatch):
    passes: list[int] = []
    render = running.loop._engine.render
    monkeypatch.setattr(
        running.loop._engine, "render", lambda due: [passes.append(len(due)), render(due)][1]
    )
    listeners = [listen(100 + n, n + 1) for n in range(12)]
    opened = [command for listener in listeners for command in listener.open()]
    # what the output plays is rendered in passes of its own
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *opened, Go(0))
    running.output.pause = lambda now: 1.0  # type: ignore[method-assign]
    for number in range(20):
        for listener in listeners:
            listener.ask(number)
        time.sleep(0.75 * BLOCK / RATE)  # they pull in real time
    for listener in listeners:
        assert [listener.answer()[0] for _ in range(20)] == list(range(20))
    assert sum(passes[-200:]) / len(passes[-200:]) > 4  # one at a time would be 1
    assert running.gauges.totals().blocks == 240


def test_the_output_plays_its_bus(running):
    sound = running.output.blocks
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *tune(0, 1), Go(0))
    running.wait(lambda: len(running.told(Ended)) == 1 and len(sound) > 100)
    assert {event.note for event in running.told(Started)} == {1, 2, 3}
    heard = np.concatenate(sound, axis=1)
    expected = alone(RATE, 256, len(sound), *tune(0, 1))
    assert np.abs(heard - expected[:, : heard.shape[1]]).max() <= 1e-5


# ends


def test_a_bus_is_closed_with_blocks_under_way(running, listen):
    one, other = listen(100, 1, block=4096), listen(101, 2)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *one.open(), *other.open(), *tune(1, 1), Go(0))
    one.pull()
    for number in range(1, 40):
        one.ask(number)  # 8 parts each
    other.pull()
    running.send(CloseStream(100), CloseBus(1))
    running.wait(lambda: len(running.told(Ended)) == 3)
    assert sorted(event.slot for event in running.told(Freed)) == [0, 1, 2]
    other.listen(20)
    # its number may be given to another
    again = listen(102, 1)
    running.send(*again.open(), *tune(1, 11))
    assert np.abs(again.listen(20)).max() > 0.005


def test_a_command_that_fails_takes_nothing_with_it(running, listen, caplog):
    listener = listen(100, 1)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *listener.open(), Go(0))
    running.send(OpenStream(5, NOWHERE, None, 17, BLOCK, 4), *tune(1, 1))  # there is no such bus
    assert np.abs(listener.listen(20)).max() > 0.005
    assert [record.message for record in caplog.records] == ["OpenStream failed"]


def test_the_buses_are_reported(running, listen):
    listener = listen(100, 1)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *listener.open(), *tune(1, 1), Go(0))
    listener.listen(8)

    def reported():
        state = running.gauges.bus(1)
        return state.sounding == 3 and state.block == 8

    running.wait(reported)
    state = running.gauges.bus(1)
    assert state.before == 8 * BLOCK and not state.over
    # with a steady link samples are time; 10 samples into block 9
    assert state.block_seconds(9, 10, BLOCK, RATE) == pytest.approx((9 * BLOCK + 10) / RATE)


def test_it_quits(running):
    running.send(OpenBus(0, RATE, 1, 4, GAIN), Go(0), Quit())
    assert running.ended.wait(TIMEOUT_S)


def test_the_other_end_is_gone(running, listen):
    listener = listen(100, 1)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), *listener.open(), Go(0))
    listener.listen(3)
    running.records.close()
    assert running.ended.wait(TIMEOUT_S)
    assert isinstance(running.error, EOFError | ConnectionError)
    running.error = None


def test_the_sound_fades_out_where_the_server_has_gone(running):
    sound = running.output.blocks
    held = Note(1, 1, 60, 90, 60, hold=True)
    running.send(OpenBus(0, RATE, 1, 4, GAIN), NewNote(0, held), Start(1, 0), Go(0))
    running.wait(lambda: len(sound) > 40)
    running.records.close()
    assert running.ended.wait(TIMEOUT_S)
    running.error = None
    before = len(sound)
    running.loop.fade()
    assert np.abs(sound[before - 1]).max() > 0.005
    faded = np.concatenate(sound[before:], axis=1)[0]
    assert len(faded) >= 480 and not faded[480:].any() and np.abs(faded[:240]).max() > 1e-3
