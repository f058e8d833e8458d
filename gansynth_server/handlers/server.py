"""Messages to the server itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gansynth_server import __version__
from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.osc import pattern
from gansynth_server.osc.codec import encode
from gansynth_server.osc.table import ROWS

if TYPE_CHECKING:
    from gansynth_server.server.server import Server

LIST = 7000
"""Bytes of addresses in a datagram: with their type tags, fewer than 8 kB."""
BUSES = 128
"""As many as SuperDirt has; TidalCycles waits until it is told of some."""


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

    def help(self, call: Call, address: str) -> None:
        row = ROWS.get(address)
        if row is not None:
            arguments = ", ".join(arg.text for arg in row.args)
            call.reply("/help.reply", address, arguments, row.reply.replace("`", ""), row.help)
            return
        found = [known for known in ROWS if _covers(address, known)]
        if not found:
            raise UserError(f"no message {address!r}; /help lists them all")
        for part in _parts(found):
            call.reply("/help.list", *part)

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

    def dirt_handshake(self, call: Call) -> None:
        call.reply(
            "/dirt/handshake/reply",
            *("&serverHostname", self._server.options.bind),
            *("&serverPort", self._server.port),
            *("&controlBusIndices", *range(BUSES)),
        )

    def login(self, call: Call, word: str | float) -> None:
        peer = call.peer
        if peer.proven or (word != "" and peer.prove(word in (peer.token, str(peer.token)))):
            call.reply("/done", "/login")
        else:
            call.reply("/login.reply", peer.token)

    def metrics(self, call: Call) -> None:
        values = self._server.metrics().values()
        call.reply("/metrics.reply", *(part for pair in values.items() for part in pair))

    def dump(self, call: Call, level: int) -> None:
        _known(call)
        self._server.dump(level)

    def quit(self, call: Call) -> None:
        _known(call)
        call.reply("/done", "/quit")
        self._server.quit()


def _known(call: Call) -> None:
    if not call.peer.proven:
        raise UserError("only for those who are known to hear the server; see /login")


def _covers(wanted: str, address: str) -> bool:
    """Whether a pattern matches an address, or the beginning of one up to a slash."""
    depth = wanted.count("/") + 1
    return pattern.match(wanted, "/".join(address.split("/")[:depth]))


def _parts(addresses: list[str]) -> Iterator[list[str]]:
    """The addresses in as few datagrams as hold them."""
    part: list[str] = []
    size = 0
    for address in addresses:
        length = len(encode(address))
        if part and size + length > LIST:
            yield part
            part, size = [], 0
        part.append(address)
        size += length
    yield part
