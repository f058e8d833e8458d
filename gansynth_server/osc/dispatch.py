"""Dispatch of messages to handlers, by address or pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.osc import pattern
from gansynth_server.osc.codec import Message
from gansynth_server.osc.nearest import suggestion
from gansynth_server.osc.schema import ButtonReleasedError, Row, parse
from gansynth_server.osc.table import ROWS

Handler = Callable[[Row, list[Any]], None]
Fail = Callable[[str, str], None]


def dispatch(message: Message, handle: Handler, fail: Fail) -> None:
    """Handle one message, once for each row that its address pattern matches.

    Args:
        message: to handle.
        handle: called with a row and its checked arguments; may raise UserError.
        fail: called with the address and one sentence where something is wrong.
    """
    try:
        for row in _rows(message):
            try:
                args = parse(row, message.args)
            except ButtonReleasedError:  # the other value of a button
                continue
            handle(row, args)
    except UserError as error:
        fail(message.address, str(error))


def _rows(message: Message) -> Iterator[Row]:
    """Yield the rows that an address, or an address pattern, matches."""
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
            raise UserError("no message fits this pattern; /help lists them all")
    if not found:
        raise UserError(suggestion(message.address, ROWS))
