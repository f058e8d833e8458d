"""Messages about time in beats."""

from __future__ import annotations

from gansynth_server.handlers.host import Host, LiveHost
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.tempo import TEMPOS, Tempo, tempo_of
from gansynth_server.osc.codec import Message


class TempoMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument

    def tempo(self, request: Request, bpm: float | None, beat: float | None) -> None:
        client, now = request.client, self._instrument.time(request.when)
        before = TEMPOS.of(client)
        if bpm is not None or beat is not None:
            # the beats count on, unless they are told
            number = before.beat_at(now) if beat is None else beat
            TEMPOS.set_own(client, Tempo(bpm or before.bpm, now, number))
        tempo = TEMPOS.of(client)
        request.reply("/tempo.reply", tempo.bpm, tempo.beat_at(now))

    def tempo_follow(self, request: Request) -> None:
        TEMPOS.set_own(request.client, None)
        request.reply("/done", "/tempo/follow")


class BeatMessages:
    def __init__(self, host: LiveHost) -> None:
        self._host = host

    def at(self, request: Request, beat: float, message: Message) -> None:
        when = tempo_of(request.client).seconds_at(beat)
        self._host.schedule(request.session, message, when)
