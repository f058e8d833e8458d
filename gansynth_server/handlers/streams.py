"""Messages of the pulled streams."""

from __future__ import annotations

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import LiveHost
from gansynth_server.net.streams import PullStream
from gansynth_server.osc.codec import Message
from gansynth_server.recording.files import Files
from gansynth_server.recording.recorder import Recorder


class StreamMessages:
    def __init__(self, host: LiveHost) -> None:
        self._host = host
        self._instrument = host.instrument

    def stream_open(self, call: Call, rate: float, block: int, ahead: int, channels: int) -> None:
        peer, wanted = call.peer, (round(rate), block, ahead, channels)
        if peer.stream is None or peer.stream.pulled or peer.stream.form != wanted:
            # the same again before the first pull is a client that did not hear the answer
            bus = self._host.new_bus(round(rate), channels)
            if peer.stream is not None:
                self._host.move(peer.stream.bus, bus)  # who has joined stays with it
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
        self._host.pull(call.peer.source, stream, number)

    def stream_at(self, call: Call, number: int, samples: float, message: Message) -> None:
        stream = call.peer.stream
        if stream is None or not stream.pulled:
            raise UserError("your sound is not running; open a stream and pull it first")
        self._host.schedule(call.peer, message, stream.seconds(number, samples))

    def stream_join(self, call: Call, id: int) -> None:
        call.client.bus = self._host.stream(id).bus
        call.reply("/done", "/stream/join", id)

    def stream_close(self, call: Call) -> None:
        stream, main = call.peer.stream, self._host.main_bus
        self._instrument.silence(call.client)
        call.peer.stream = None
        call.client.bus = main
        if stream is not None:
            self._host.move(stream.bus, main)
        call.reply("/done", "/stream/close")

    def record(self, call: Call, file: str) -> None:
        bus = call.client.bus
        if bus.tap is not None:
            raise UserError("this sound is recorded already; /record/stop ends that")

        def done(seconds: float, lost: int, why: str) -> None:
            if lost:
                why = f"the disk was too slow: {lost} frames of {file} are silent"
            if why:
                call.reply("/fail", "/record", why)
            else:
                call.reply("/done", "/record", file, seconds)

        files = Files(self._host.root, file, bus.rate, bus.channels)
        recorder = Recorder(bus, files, self._host.model.checkpoint.name, done)
        recorder.start(self._host.clients_on(bus), self._instrument.time(None))

    def record_stop(self, call: Call) -> None:
        recorder = call.client.bus.tap
        if not isinstance(recorder, Recorder):
            raise UserError("nothing is recorded; /record file begins that")
        recorder.stop(self._instrument.work.begin(call.client))
