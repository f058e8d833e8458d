"""Messages to the server itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gansynth_server.errors import UserError
from gansynth_server.handlers.host import Host, LiveHost, Task
from gansynth_server.handlers.request import Request
from gansynth_server.net.tcp import TcpSource
from gansynth_server.osc import pattern
from gansynth_server.osc.codec import encode
from gansynth_server.osc.table import ROWS
from gansynth_server.version import __version__

MAX_LIST_BYTES = 7000
"""Bytes of addresses in a datagram: with their type tags, fewer than 8 kB."""
BUSES = 128
"""Control buses, as many as SuperDirt has; TidalCycles waits until it is told of some."""


class ServerMessages:
    def __init__(self, host: LiveHost) -> None:
        self._host = host
        self._instrument = host.instrument

    def status(self, request: Request) -> None:
        bus = request.client.bus
        state = bus.state
        request.reply(
            "/status.reply",
            self._host.sounding,
            self._host.waiting,
            self._host.clients,
            round(state.load, 2),
            round(state.load_peak, 2),
            bus.rate,
            self._host.underruns,
            round(self._instrument.morpher.rate, 1),
            self._host.failed,
        )

    def help(self, request: Request, address: str) -> None:
        row = ROWS.get(address)
        if row is not None:
            arguments = ", ".join(arg.text for arg in row.args)
            request.reply("/help.reply", address, arguments, row.reply.replace("`", ""), row.help)
            return
        found = [known for known in ROWS if _covers(address, known)]
        if not found:
            raise UserError(f"no message {address!r}; /help lists them all")
        for part in _parts(found):
            request.reply("/help.list", *part)

    def version(self, request: Request) -> None:
        numbers = [int(part) for part in __version__.split(".")[:3]]
        request.reply("/version.reply", "gansynth-server", *numbers)

    def sync(self, request: Request, id: int) -> None:
        with self._instrument.lock:
            request.client.sync(lambda: request.reply("/synced", id))

    def notify(self, request: Request, on: int) -> None:
        request.session.notified = bool(on)
        most = self._host.options.max_clients
        request.reply("/done", "/notify", request.client.number, most)

    def reply_to(self, request: Request, port: int) -> None:
        session = request.session
        _known(request)
        if isinstance(session.source, TcpSource):
            raise UserError("replies over TCP go back on their connection")
        self._host.reply_to(session, port)
        request.reply("/done", "/reply/to", port)

    def clearSched(self, request: Request) -> None:  # noqa: N802 as in scsynth
        self._host.clear_scheduled(request.session)

    def dirt_handshake(self, request: Request) -> None:
        request.reply(
            "/dirt/handshake/reply",
            *("&serverHostname", self._host.options.bind),
            *("&serverPort", self._host.port),
            *("&controlBusIndices", *range(BUSES)),
        )

    def login(self, request: Request, word: str | float) -> None:
        session = request.session
        if session.proven or (
            word != "" and session.prove(word in (session.token, str(session.token)))
        ):
            request.reply("/done", "/login")
        else:
            request.reply("/login.reply", session.token)

    def metrics(self, request: Request) -> None:
        values = self._host.figures()
        request.reply("/metrics.reply", *(part for pair in values.items() for part in pair))

    def dump(self, request: Request, level: int) -> None:
        _known(request)
        self._host.dump(level)

    def quit(self, request: Request) -> None:
        _known(request)
        request.reply("/done", "/quit")
        self._host.quit()


def _known(request: Request) -> None:
    """Check that the client is known to hear the server; UserError otherwise."""
    if not request.session.proven:
        raise UserError("only for those who are known to hear the server; see /login")


def _covers(wanted: str, address: str) -> bool:
    """Return whether a pattern matches an address, or its beginning up to a slash."""
    depth = wanted.count("/") + 1
    return pattern.match(wanted, "/".join(address.split("/")[:depth]))


def _parts(addresses: list[str]) -> Iterator[list[str]]:
    """Part addresses into as few datagrams as hold them."""
    part: list[str] = []
    size = 0
    for address in addresses:
        length = len(encode(address))
        if part and size + length > MAX_LIST_BYTES:
            yield part
            part, size = [], 0
        part.append(address)
        size += length
    yield part


class CheckpointMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._models = host.models
        self._background = host.background

    def checkpoint_list(self, request: Request) -> None:
        request.reply("/checkpoint/list.reply", *self._models.names())

    def checkpoint_info(self, request: Request) -> None:
        model = request.client.model
        name, size = model.checkpoint.name, model.latent_size
        request.reply(
            "/checkpoint/info.reply",
            *(name, size, model.pitches[0], model.pitches[-1], *model.presets),
        )

    def checkpoint_load(self, request: Request, name: str) -> None:
        names = self._models.names()
        if name not in names and (last := re.split(r"[/\\]", name)[-1]):
            name = last  # a path, as other programs of the kind want it
        if name not in names:
            raise UserError(f"no checkpoint called {name!r}; there are: {', '.join(names)}")

        def load() -> None:
            self._instrument.set_checkpoint(request.client, self._models.get(name))
            request.reply("/done", "/checkpoint/load", name)
            if request.session.notified:
                request.reply("/checkpoint", name)

        if self._models.loaded(name):
            load()  # at its time, as all that follows it expects
        else:
            self._background.run(request, "/checkpoint/load", load, Task.LOAD)
