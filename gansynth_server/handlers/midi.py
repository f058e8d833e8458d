"""Messages about live MIDI."""

from __future__ import annotations

from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import LiveHost
from gansynth_server.midi.mapping import target


class MidiMessages:
    def __init__(self, host: LiveHost) -> None:
        self._host = host
        self._instrument = host.instrument

    def midi_cc(self, call: Call, controller: int, name: str, amount: float | None) -> None:
        self._host.midi.mapping[controller] = target(name, amount)

    def midi_join(self, call: Call, on: int) -> None:
        peer, shared = call.peer, self._host.midi.client
        own = peer.own or peer.client
        if on and peer.own is None:
            self._instrument.release_all(own, call.when)
            shared.bus = own.bus  # the stream, where there is one
            peer.own, peer.client = own, shared
        elif not on and peer.own is not None:
            own.bus, shared.bus = shared.bus, self._host.main_bus
            peer.own, peer.client = None, own
        call.reply("/done", "/midi/join", on)
