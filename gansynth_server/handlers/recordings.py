"""Messages about recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.recording.files import Files
from gansynth_server.recording.recorder import Recorder

if TYPE_CHECKING:
    from gansynth_server.server.server import Server


class RecordingMessages:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._instrument = server.instrument

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

        files = Files(self._server.root, file, bus.rate, bus.channels)
        recorder = Recorder(bus, files, self._server.model.checkpoint.name, done)
        recorder.start(self._server.clients_on(bus), self._instrument.time(None))

    def record_stop(self, call: Call) -> None:
        recorder = call.client.bus.tap
        if not isinstance(recorder, Recorder):
            raise UserError("nothing is recorded; /record file begins that")
        recorder.stop(self._instrument.work.begin(call.client))
