"""Messages to and from a server, by python-osc, and its refusals as exceptions."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from pythonosc.osc_message import OscMessage, ParseError
from pythonosc.osc_message_builder import BuildError, OscMessageBuilder

from gansynth_server.errors import UserError
from gansynth_server.osc.table import ROWS


class Message(NamedTuple):
    """One OSC message from the server."""

    address: str
    args: tuple[Any, ...]


class RequestError(UserError):
    """The server's ``/fail``: the address of what failed, and the reason."""

    def __init__(self, address: str, reason: str = "") -> None:
        super().__init__(f"{address}: {reason}")
        self.address, self.reason = address, reason


class NoReplyError(UserError):
    """No reply within the timeout, or no server at the port."""


def build(address: str, args: tuple[Any, ...]) -> OscMessage:
    """Return a message with arguments of type i, f, s or b; an array becomes a blob of float32.

    Raises:
        UserError: OSC cannot hold it.
    """
    builder = OscMessageBuilder(address)
    try:
        for arg in args:
            builder.add_arg(_plain(arg))
        return builder.build()
    except (BuildError, ValueError, OverflowError) as error:
        raise UserError(f"cannot send {address}: {error}") from error


def parse(datagram: bytes) -> Message | None:
    """Return the message of a datagram, None where it holds none."""
    try:
        message = OscMessage(datagram)
    except ParseError:
        return None
    return Message(message.address, tuple(message.params))


@cache
def replies_to(address: str) -> frozenset[tuple[str, ...]]:
    """Return the replies to a message by the table: addresses, or ``/done`` and what is done."""
    reply = ROWS[address].reply if address in ROWS else ""
    return frozenset(tuple(words.split()) for words in re.findall("`(/[^`]+)`", reply))


def _plain(arg: Any) -> Any:
    if isinstance(arg, np.ndarray):
        return arg.astype(">f4").tobytes()
    if isinstance(arg, np.generic):
        arg = arg.item()
    return int(arg) if isinstance(arg, bool) else arg
