"""Messages to the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gansynth_server import __version__
from gansynth_server.handlers.call import Call

if TYPE_CHECKING:
    from gansynth_server.server import Server


class ServerMessages:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._instrument = server.instrument

    def status(self, call: Call) -> None:
        bus = call.client.bus
        call.reply(
            "/status.reply",
            self._server.sounding,
            self._server.waiting,
            self._server.clients,
            round(bus.load.average, 2),
            round(bus.load.peak, 2),
            bus.rate,
            self._server.underruns,
            round(self._instrument.timbre.rate, 1),
        )

    def version(self, call: Call) -> None:
        numbers = [int(part) for part in __version__.split(".")[:3]]
        call.reply("/version.reply", "gansynth-server", *numbers)

    def sync(self, call: Call, id: int) -> None:
        with self._instrument.lock:
            call.client.sync(lambda: call.reply("/synced", id))

    def notify(self, call: Call, on: int) -> None:
        call.peer.notified = bool(on)
        most = self._server.options.max_clients
        call.reply("/done", "/notify", call.client.number, most)

    def clearSched(self, call: Call) -> None:  # noqa: N802 as in scsynth
        self._server.clear_scheduled(call.peer)

    def quit(self, call: Call) -> None:
        call.reply("/done", "/quit")
        self._server.quit()
