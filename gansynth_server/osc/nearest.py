"""Which message an address was meant to be, where there is none of that name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

MAX_LENGTH = 80
"""Characters of an address that are looked at."""
SIMILAR = 0.4
"""Share of letter pairs in common from which a name is suggested."""


def suggestion(address: str, known: Iterable[str]) -> str:
    """Return a sentence that says what was meant, and how to say it.

    The time it takes is bounded, however long the address.
    """
    names = tuple(known)
    given, values = _parts(address[:MAX_LENGTH])
    name = nearest(given, names)
    if name is None:
        return "no such message; /help lists them all"
    if values:
        return (
            f"values go behind the address, not into it: {name} with the "
            f"{'arguments' if len(values) > 1 else 'argument'} {' '.join(values)}"
        )
    return f"no such message; did you mean {name}? /help lists them all"


def nearest(address: str, names: tuple[str, ...]) -> str | None:
    """Return the name that is nearest to an address, None where all are far."""
    plain = _plain(address)
    index = _index(names)
    parts = plain.split("/")[1:]
    for first in range(len(parts)):  # some put a name of the server's before all addresses
        end = "/" + "/".join(parts[first:])
        if end in index:
            return index[end][0]
    pairs = _pairs(plain)
    best, found = SIMILAR, None
    for name, theirs in index.values():
        common = 2 * len(pairs & theirs) / max(1, len(pairs) + len(theirs))
        # of equal ones the shorter: /note, not /note/off
        if common > best or (common == best and found is not None and len(name) < len(found)):
            best, found = common, name
    return found


def _parts(address: str) -> tuple[str, list[str]]:
    """Part an address into its name and the values that were written into it."""
    words = address.split()
    name, values = (words[0], words[1:]) if words else ("", [])
    segments = name.split("/")
    while len(segments) > 2 and re.fullmatch(r"-?\d+(\.\d*)?", segments[-1]):
        values.insert(0, segments.pop())
    return "/".join(segments), values


def _plain(address: str) -> str:
    """Return an address in small letters, with single slashes and none at its end."""
    return "/" + "/".join(part for part in address.lower().split("/") if part)


def _pairs(plain: str) -> frozenset[str]:
    return frozenset(plain[n : n + 2] for n in range(len(plain) - 1))


@lru_cache(maxsize=4)
def _index(names: tuple[str, ...]) -> dict[str, tuple[str, frozenset[str]]]:
    return {_plain(name): (name, _pairs(_plain(name))) for name in names}
