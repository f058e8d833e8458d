"""Messages about live MIDI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gansynth_server.handlers.call import Call
from gansynth_server.midi.mapping import target

if TYPE_CHECKING:
    from gansynth_server.server.server import Server


class MidiMessages:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._instrument = server.instrument

    def midi_cc(self, call: Call, controller: int, name: str, amount: float | None) -> None:
        self._server.midi.mapping[controller] = target(name, amount)

    def midi_join(self, call: Call, on: int) -> None:
        peer, shared = call.peer, self._server.midi.client
        own = peer.own or peer.client
        if on and peer.own is None:
            self._instrument.release_all(own, call.when)
            shared.bus = own.bus  # the stream, where there is one
            peer.own, peer.client = own, shared
        elif not on and peer.own is not None:
            own.bus, shared.bus = shared.bus, self._server.main_bus
            peer.own, peer.client = None, own
        call.reply("/done", "/midi/join", on)
