"""Messages about live MIDI."""

from __future__ import annotations

from gansynth_server.handlers.host import LiveHost
from gansynth_server.handlers.request import Request
from gansynth_server.midi.mapping import target


class MidiMessages:
    def __init__(self, host: LiveHost) -> None:
        self._host = host
        self._instrument = host.instrument

    def midi_cc(self, request: Request, controller: int, name: str, amount: float | None) -> None:
        self._host.midi.mapping[controller] = target(name, amount)

    def midi_learn(self, request: Request, name: str, amount: float | None) -> None:
        def told(number: int) -> None:
            request.reply("/done", "/midi/learn", number, name)

        self._host.midi.learn(None if name == "none" else target(name, amount), told)
        if name == "none":
            told(-1)

    def midi_join(self, request: Request, on: int) -> None:
        session, shared = request.session, self._host.midi.client
        own = session.own or session.client
        if on and session.own is None:
            self._instrument.release_all(own, request.when)
            shared.set_bus(own.bus)  # the stream, where there is one
            session.own, session.client = own, shared
        elif not on and session.own is not None:
            own.set_bus(shared.bus)
            shared.set_bus(self._host.main_bus)
            session.own, session.client = None, own
        request.reply("/done", "/midi/join", on)
