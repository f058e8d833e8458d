"""From a message to its handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.osc import pattern
from gansynth_server.osc.codec import Message
from gansynth_server.osc.schema import Row, parse
from gansynth_server.osc.table import ROWS

Handler = Callable[[Row, list[Any]], None]
Fail = Callable[[str, str], None]


def dispatch(message: Message, handle: Handler, fail: Fail) -> None:
    """Runs one message, or all that its pattern means.

    Args:
        handle: is given the row of a message and its checked arguments; may
            raise UserError.
        fail: is given an address and one sentence where something went wrong.
    """
    try:
        for row in _rows(message):
            handle(row, parse(row, message.args))
    except UserError as error:
        fail(message.address, str(error))


def _rows(message: Message) -> Iterator[Row]:
    """The rows that an address, or a pattern of addresses, means."""
    if message.address in ROWS:
        yield ROWS[message.address]
        return
    found = False
    if pattern.is_pattern(message.address):
        for address, row in ROWS.items():
            if not row.exact and pattern.match(message.address, address):
                found = True
                yield row
    if not found:
        raise UserError("no such message; the README lists them all")
