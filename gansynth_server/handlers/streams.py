"""Messages of the pulled streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.net.streams import PullStream
from gansynth_server.osc.codec import Message

if TYPE_CHECKING:
    from gansynth_server.server.server import Server


class StreamMessages:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._instrument = server.instrument

    def stream_open(self, call: Call, rate: float, block: int, ahead: int, channels: int) -> None:
        peer, wanted = call.peer, (round(rate), block, ahead, channels)
        if peer.stream is None or peer.stream.pulled or peer.stream.form != wanted:
            # the same again before the first pull is a client that did not hear the answer
            bus = self._server.new_bus(round(rate), channels)
            if peer.stream is not None:
                self._server.move(peer.stream.bus, bus)  # who has joined stays with it
            peer.stream = PullStream(bus, block, ahead)
            peer.client.bus = bus
        latency = round(1000 * peer.stream.latency, 2)
        call.reply("/done", "/stream/open", peer.stream.id, latency)

    def stream_pull(self, call: Call, number: int, id: int) -> None:
        stream = call.peer.stream
        right = stream is not None and stream.id == id
        call.peer.prove(right)
        if stream is None or not right:
            raise UserError("no such stream; open one with /stream/open")
        self._server.pull(call.peer.source, stream, number)

    def stream_at(self, call: Call, number: int, samples: float, message: Message) -> None:
        stream = call.peer.stream
        if stream is None or not stream.pulled:
            raise UserError("your sound is not running; open a stream and pull it first")
        self._server.schedule(call.peer, message, stream.seconds(number, samples))

    def stream_join(self, call: Call, id: int) -> None:
        call.client.bus = self._server.stream(id).bus
        call.reply("/done", "/stream/join", id)

    def stream_close(self, call: Call) -> None:
        stream, main = call.peer.stream, self._server.main_bus
        self._instrument.silence(call.client)
        call.peer.stream = None
        call.client.bus = main
        if stream is not None:
            self._server.move(stream.bus, main)
        call.reply("/done", "/stream/close")
