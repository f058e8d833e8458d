"""Messages of the pulled streams."""

from __future__ import annotations

from gansynth_server.errors import UserError
from gansynth_server.handlers.host import LiveHost
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.tempo import tempo_of
from gansynth_server.osc.codec import Message
from gansynth_server.recording.files import Files
from gansynth_server.util.beats import Beats


class StreamMessages:
    def __init__(self, host: LiveHost) -> None:
        self._host = host
        self._instrument = host.instrument

    def stream_open(
        self, request: Request, rate: float, block: int, ahead: int, channels: int
    ) -> None:
        session, wanted = request.session, (round(rate), block, ahead, channels)
        stream = session.stream
        if stream is None or stream.pulled or stream.form != wanted:
            # the same again before the first pull is a client that did not hear the answer
            self._host.open_stream(session, *wanted)
        assert session.stream is not None
        latency = round(1000 * session.stream.latency, 2)
        request.reply("/done", "/stream/open", session.stream.id, latency)

    def stream_pull(self, request: Request, number: int, id: int) -> None:
        # plain pulls are answered by the engine: these come in bundles, or have a wrong number
        stream = request.session.stream
        right = stream is not None and stream.id == id
        request.session.prove(right)
        if stream is None or not right:
            raise UserError("no such stream; open one with /stream/open")
        self._host.pull(request.session, number)

    def stream_at(
        self, request: Request, number: int, samples: float | Beats, message: Message
    ) -> None:
        stream = request.session.stream
        if stream is None or not stream.pulled:
            raise UserError("your sound is not running; open a stream and pull it first")
        if isinstance(samples, Beats):
            samples = tempo_of(request.client).length(samples.number) * stream.bus.rate
        self._host.schedule(request.session, message, stream.seconds(number, samples))

    def stream_join(self, request: Request, id: int) -> None:
        request.client.set_bus(self._host.stream(id).bus)
        request.reply("/done", "/stream/join", id)

    def stream_close(self, request: Request) -> None:
        self._instrument.silence(request.client)
        request.client.set_bus(self._host.main_bus)
        self._host.close_stream(request.session)
        request.reply("/done", "/stream/close")

    def record(self, request: Request, file: str) -> None:
        bus = request.client.bus
        if self._host.recorder(bus) is not None:
            raise UserError("this sound is recorded already; /record/stop ends that")

        def done(seconds: float, lost: int, why: str) -> None:
            if lost:
                why = f"the disk was too slow: {lost} frames of {file} are silent"
            if why:
                request.reply("/fail", "/record", why)
            else:
                request.reply("/done", "/record", file, seconds)

        self._host.record(bus, Files(self._host.root, file, bus.rate, bus.channels), done)

    def record_stop(self, request: Request) -> None:
        recorder = self._host.recorder(request.client.bus)
        if recorder is None:
            raise UserError("nothing is recorded; /record file begins that")
        recorder.stop(self._instrument.renders.begin(request.client))
