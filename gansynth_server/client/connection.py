"""One UDP socket to a server: messages, bundles, replies, and what comes unasked.

python-osc builds and reads the messages. Its ``UDPClient`` is not used: it receives 4096 bytes
of a datagram at most, where a block of a stream has up to 33 kB, and hears any sender.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder

from gansynth_server.client.messages import (
    Message,
    NoReplyError,
    RequestError,
    build,
    parse,
    replies_to,
)
from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_PORT

TIMEOUT_S = 5.0
MAX_KEPT = 4096
"""Failures and events that are kept; the oldest go first."""
MAX_DATAGRAM = 65536
BUFFER = 1 << 20
"""Bytes of datagrams that the system keeps until they are received."""


class Connection:
    """One UDP socket to a server, a context manager; for one thread at a time.

    A message that is sent without waiting may fail later: its ``/fail`` is added to ``failures``,
    and the next :meth:`sync` raises the first of those since the last.

    Args:
        timeout: for each reply (s).

    Raises:
        UserError: the host has no address.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, timeout: float = TIMEOUT_S
    ) -> None:
        self.host, self.port, self.timeout = host, port, timeout
        self.failures: deque[RequestError] = deque(maxlen=MAX_KEPT)
        """Every ``/fail`` that was not raised by :meth:`ask`."""
        self.events: deque[Message] = deque(maxlen=MAX_KEPT)
        """Messages that :meth:`ask` did not wait for, until :meth:`receive` returns them."""
        self._unraised: dict[str, RequestError] = {}
        self._syncs = 0
        self._bundle: OscBundleBuilder | None = None
        self.take_block: Callable[[bytes], None] = lambda datagram: None
        """Called with the datagram of a stream's block."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            # localhost may be ::1 first, where a server on 127.0.0.1 does not listen
            family, kind, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
            self._socket = socket.socket(family, kind)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._socket.connect(where)  # hears this server only
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot reach {host}, port {port}: {error}") from error

    def send(self, address: str, *args: Any) -> None:
        """Send a message without waiting; inside of :meth:`at`, add it to the bundle.

        Args:
            args: numbers, words, bytes, or arrays of numbers, each of which becomes a blob.

        Raises:
            UserError: OSC cannot hold it, or it is too long for a datagram.
            NoReplyError: no server is at the port any more.
        """
        message = build(address, args)
        if self._bundle is None:
            self.send_datagram(message.dgram)
        else:
            self._bundle.add_content(message)

    def send_datagram(self, datagram: bytes) -> None:
        """Send bytes as they are. Raises as :meth:`send`."""
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError as error:
            raise self.no_reply("nothing answers") from error
        except OSError as error:
            raise UserError(f"cannot send {len(datagram)} bytes: {error}") from error

    @contextmanager
    def at(self, when: float | None = None) -> Iterator[None]:
        """Send the messages of the context at its end, as one bundle.

        Args:
            when: Unix time (s), as ``time.time()`` gives it, at which they take effect, exact to
                the sample where the sound has gone on for a second; None is at once, all together.

        Raises:
            UserError: contexts are nested, or no bundle holds the time or all the messages.
        """
        if self._bundle is not None:
            raise UserError("at() inside of at(): a bundle has one time")
        time_tag: Any = IMMEDIATELY if when is None else when
        self._bundle = bundle = OscBundleBuilder(time_tag)
        try:
            yield
        finally:
            self._bundle = None
        try:
            datagram = bundle.build().dgram
        except (ValueError, OverflowError, struct.error) as error:
            raise UserError(f"no bundle holds the time {when}: {error}") from error
        self.send_datagram(datagram)

    def ask(self, address: str, *args: Any, timeout: float | None = None) -> Message:
        """Send a message and return its reply, by the table that ``gansynth messages`` prints.

        A message without a reply is followed by :meth:`sync`, whose reply is returned.

        Args:
            timeout: for the reply (s); None is the client's.

        Raises:
            RequestError: the server refuses it.
            NoReplyError: no reply comes in time.
            UserError: OSC cannot hold it, or it is asked inside of :meth:`at`.
        """
        replies = replies_to(address)
        if not replies:
            self.send(address, *args)
            return self.sync(timeout)

        def answers(reply: Message) -> bool:
            named = {(reply.address,), (reply.address, *reply.args[:1])}
            return bool(named & replies) or reply.address.startswith(f"{address}.")

        return self._ask(address, args, answers, timeout)

    def sync(self, timeout: float | None = None) -> Message:
        """Wait until all that was sent before is done; return ``/synced``.

        Raises:
            RequestError: the first message that has failed since the last :meth:`sync`.
            NoReplyError: no reply comes in time (s); None is the client's timeout.
        """
        self._syncs += 1
        synced = Message("/synced", (self._syncs,))
        self._ask("/sync", synced.args, lambda reply: reply == synced, timeout)
        self.raise_failure()
        return synced

    def receive(self, timeout: float = 0.0) -> Message | None:
        """Return the oldest event; wait for one up to the timeout (s), then return None.

        Raises:
            NoReplyError: no server is at the port any more.
        """
        end = time.perf_counter() + timeout
        while not self.events:
            left = end - time.perf_counter()
            if not self.poll(left) and left <= 0:
                return None
        return self.events.popleft()

    def receive_datagram(self, timeout: float = 0.0) -> bytes | None:
        """Return the next datagram as it is; None if none comes in time (s).

        Raises:
            NoReplyError: no server is at the port any more.
        """
        self._socket.settimeout(max(0.0, timeout))
        try:
            return self._socket.recv(MAX_DATAGRAM)
        except (TimeoutError, BlockingIOError):
            return None
        except ConnectionRefusedError as error:
            raise self.no_reply("nothing answers") from error

    def fileno(self) -> int:
        """Return the socket's descriptor, for ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; notes that sound go on to their end."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what a Stream needs besides

    def check_no_bundle(self, what: str) -> None:
        """UserError inside of :meth:`at`."""
        if self._bundle is not None:
            raise UserError(f"{what} cannot be asked for inside of at(), which sends at its end")

    def poll(self, timeout: float = 0.0) -> bool:
        """Take in one datagram; whether one has come in time."""
        datagram = self.receive_datagram(timeout)
        message = self._parse(datagram)
        if message is not None:
            self._file(message)
        return datagram is not None

    def raise_failure(self, address: str | None = None) -> None:
        """Raise the first failure of a message that was not raised yet; None is any message."""
        if address is None:
            failure = next(iter(self._unraised.values()), None)
            self._unraised.clear()
        else:
            failure = self._unraised.pop(address, None)
        if failure is not None:
            raise failure

    def no_reply(self, what: str) -> NoReplyError:
        """Return an error that says what to check."""
        said = f" The last that it refused: {self.failures[-1]}" if self.failures else ""
        return NoReplyError(
            f"{what} at {self.host}, port {self.port}: check that gansynth-server runs there, with "
            f"this --port, and for other machines with --bind and --allow or --password.{said}"
        )

    def _ask(
        self,
        address: str,
        args: tuple[Any, ...],
        answers: Callable[[Message], bool],
        timeout: float | None,
    ) -> Message:
        self.check_no_bundle(address)
        while self.poll():
            pass  # what came before the question is no answer to it
        self.send(address, *args)
        timeout = self.timeout if timeout is None else timeout
        end = time.perf_counter() + timeout
        while (left := end - time.perf_counter()) > 0:
            message = self._parse(self.receive_datagram(left))
            if message is None:
                continue
            if message.address == "/fail" and message.args[:1] == (address,):
                raise RequestError(*message.args[:2])
            if answers(message):
                return message
            self._file(message)
        raise self.no_reply(f"no answer to {address} within {timeout:g} s")

    def _parse(self, datagram: bytes | None) -> Message | None:
        """Return the message in a datagram; None for a block, which goes to the stream."""
        if datagram is None:
            return None
        if datagram.startswith((b"/b\0", b"#bundle\0")):
            # python-osc takes 100 times as long as NumPy for so many floats
            self.take_block(datagram)
            return None
        return parse(datagram)

    def _file(self, message: Message) -> None:
        if message.address != "/fail":
            self.events.append(message)
            return
        failure = RequestError(*message.args[:2])
        self.failures.append(failure)
        self._unraised.setdefault(failure.address, failure)
