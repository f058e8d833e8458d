"""What each OSC message does: one method per row of the table.

The methods run on the OSC thread and only start what takes time; a reply
goes to the sender alone.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server import __version__
from gansynth_server.audio.stream import PullStream
from gansynth_server.errors import UserError
from gansynth_server.osc.codec import encode
from gansynth_server.osc.spec import Row
from gansynth_server.peers import Peer
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.synth.note import NoteId

if TYPE_CHECKING:
    from gansynth_server.server import Server

CHUNK = 1024
"""Samples per ``/chunk``: 5 kB, well within a datagram."""
MOST_ARRAYS = 16

_log = logging.getLogger(__name__)


class Handlers:
    """The messages of :mod:`gansynth_server.osc.spec`, by their method names."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._instrument = server.instrument

    def __call__(self, peer: Peer, row: Row, args: list[Any]) -> None:
        """Runs one message; UserError when it asks for what cannot be."""
        getattr(self, row.method)(peer, *args)

    def _reply(self, peer: Peer, address: str, *args: Any) -> None:
        self._server.send(peer.source, encode(address, *args))

    def _fail(self, peer: Peer, address: str) -> Callable[[str], None]:
        return lambda why: self._reply(peer, "/fail", address, why)

    # the server

    def status(self, peer: Peer) -> None:
        bus = peer.client.bus
        self._reply(
            peer,
            "/status.reply",
            self._server.sounding,
            self._server.waiting,
            self._server.clients,
            round(bus.load.average, 2),
            round(bus.load.peak, 2),
            bus.rate,
            self._server.underruns,
        )

    def version(self, peer: Peer) -> None:
        numbers = [int(part) for part in __version__.split(".")[:3]]
        self._reply(peer, "/version.reply", "gansynth-server", *numbers)

    def sync(self, peer: Peer, id: int) -> None:
        with self._instrument.lock:
            peer.client.sync(lambda: self._reply(peer, "/synced", id))

    def notify(self, peer: Peer, on: int) -> None:
        peer.notified = bool(on)
        most = self._server.options.max_clients
        self._reply(peer, "/done", "/notify", peer.client.number, most)

    def quit(self, peer: Peer) -> None:
        self._reply(peer, "/done", "/quit")
        self._server.quit()

    # latents

    def z_set(self, peer: Peer, slot: str, z: NDArray[np.float32]) -> None:
        self._instrument.set(peer.client, slot, z)

    def z_get(self, peer: Peer, slot: str) -> None:
        self._reply(peer, "/z", slot, self._instrument.latent(peer.client, slot))

    def z_random(self, peer: Peer, slot: str, seed: int | None, spread: float) -> None:
        self._instrument.random(peer.client, slot, seed, spread)

    def z_slerp(self, peer: Peer, to: str, a: str, b: str, amount: float) -> None:
        self._instrument.slerp(peer.client, to, a, b, amount)

    def z_preset(self, peer: Peer, slot: str, name: str) -> None:
        self._instrument.preset(peer.client, slot, name)

    # notes

    def note(self, peer: Peer, pitch: float, velocity: float, id: NoteId | None, slot: str) -> None:
        self._instrument.play(peer.client, pitch, velocity, id, slot)

    def note_hz(
        self, peer: Peer, frequency: float, velocity: float, id: NoteId | None, slot: str
    ) -> None:
        pitch = 69 + 12 * math.log2(frequency / 440)
        if id is None:
            id = int(frequency) if frequency == int(frequency) else frequency
        # a frequency never meant a hundredth of a cent
        self._instrument.play(peer.client, round(pitch, 4), velocity, id, slot)

    def note_off(self, peer: Peer, id: NoteId) -> None:
        self._instrument.release(peer.client, id)

    def allnotesoff(self, peer: Peer) -> None:
        self._instrument.release_all(peer.client)

    def allsoundoff(self, peer: Peer) -> None:
        self._instrument.silence(peer.client)

    # checkpoints

    def checkpoint_list(self, peer: Peer) -> None:
        self._reply(peer, "/checkpoint/list.reply", *self._server.models.names())

    def checkpoint_info(self, peer: Peer) -> None:
        model = peer.client.model
        name, size = model.checkpoint.name, model.latent_size
        self._reply(
            peer,
            "/checkpoint/info.reply",
            *(name, size, model.pitches[0], model.pitches[-1], *model.presets),
        )

    def checkpoint_load(self, peer: Peer, name: str) -> None:
        if name not in self._server.models.names():
            known = ", ".join(self._server.models.names())
            raise UserError(f"no checkpoint called {name!r}; there are: {known}")
        finish = self._instrument.job(peer.client)
        fail = self._fail(peer, "/checkpoint/load")

        def load() -> None:
            try:
                self._instrument.use(peer.client, self._server.models.get(name))
                self._reply(peer, "/done", "/checkpoint/load", name)
                if peer.notified:
                    self._reply(peer, "/checkpoint", name)
            except UserError as error:
                fail(str(error))
            except Exception as error:
                _log.exception("loading %s failed", name)
                fail(f"loading {name} failed: {error}")
            finally:
                finish()

        threading.Thread(target=load, name="load", daemon=True).start()

    # whole notes for arrays

    def synthesize(self, peer: Peer, array: str, pitch: float, slot: str) -> None:
        if array not in peer.arrays and len(peer.arrays) >= MOST_ARRAYS:
            peer.arrays.pop(next(iter(peer.arrays)))

        def done(wave: NDArray[np.float32]) -> None:
            peer.arrays[array] = wave
            chunks = -(-len(wave) // CHUNK)
            self._reply(peer, "/synthesized", array, len(wave), SAMPLE_RATE, chunks)

        fail = self._fail(peer, "/synthesize")
        self._instrument.synthesize(peer.client, pitch, slot, done, fail)

    def synthesize_get(self, peer: Peer, array: str, chunk: int) -> None:
        wave = peer.arrays.get(array)
        if wave is None:
            raise UserError(f"nothing was synthesized for {array!r} yet; send /synthesize first")
        part = wave[chunk * CHUNK : (chunk + 1) * CHUNK]
        if not len(part):
            raise UserError(f"{array!r} has {-(-len(wave) // CHUNK)} chunks, counted from 0")
        self._reply(peer, "/chunk", array, chunk, chunk * CHUNK, part)

    # streams

    def stream_open(self, peer: Peer, rate: float, block: int, ahead: int) -> None:
        wanted = (round(rate), block, ahead)
        if peer.stream is None or peer.stream.pulled or peer.stream.form != wanted:
            # the same again before the first pull is a client that did not hear the answer
            bus = self._server.new_bus(round(rate))
            peer.stream = PullStream(bus, block, ahead)
            peer.client.bus = bus
        latency = round(1000 * peer.stream.latency, 2)
        self._reply(peer, "/done", "/stream/open", peer.stream.id, latency)

    def stream_pull(self, peer: Peer, number: int, id: int) -> None:
        if peer.stream is None or peer.stream.id != id:
            raise UserError("no such stream; open one with /stream/open")
        self._server.pull(peer.source, peer.stream, number)

    def stream_close(self, peer: Peer) -> None:
        self._instrument.silence(peer.client)
        peer.stream = None
        peer.client.bus = self._server.main_bus
        self._reply(peer, "/done", "/stream/close")
