"""OSC address patterns, matched in time proportional to the length of the pattern.

Quotations are from the OpenSound Control 1.0 specification. Backtracking takes
exponential time for a pattern of many asterisks. Here a nondeterministic
automaton is simulated with bits: the places of the address where the pattern
read so far can end are the bits of one integer, which each token maps to the
next.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, TypeAlias

MAX_LENGTH = 256
"""Characters of a pattern; a longer one matches nothing."""

_SPECIAL = re.compile(r"[?*\[\]{}]")
_TOKEN = re.compile(r"(\*+)|(\?)|\[([^]]+)]|\{([^{}]*)}|([^]?*[{}]+)")
_STAR, _ONE, _SET, _LIST = 1, 2, 3, 4  # groups of _TOKEN; the fifth is plain text
_SET_ITEM = re.compile("(.)-(.)|(.)", re.DOTALL)


class _One(NamedTuple):
    """One character that is among the members or, if negated, is not."""

    members: frozenset[str]
    negated: bool


_Token: TypeAlias = str | _One | list[str]
"""An asterisk, one character, or one of several strings."""


def is_pattern(address: str) -> bool:
    """Return whether an address contains one of ``? * [ ] { }``, as no method's does."""
    return _SPECIAL.search(address) is not None


def match(pattern: str, address: str) -> bool:
    """Return whether a pattern matches the whole address of a method.

    "The OSC Address and the OSC Address Pattern contain the same number of
    parts; and each part of the OSC Address Pattern matches the corresponding
    part of the OSC Address." Malformed patterns match nothing.
    """
    if len(pattern) > MAX_LENGTH or not pattern.startswith("/"):
        return False
    parts, names = _parse(pattern), address.split("/")
    return len(parts) == len(names) and all(map(_match_part, parts, names))


def _match_part(tokens: list[_Token], name: str) -> bool:
    places = _places(name)
    # bit n: the tokens so far can match the first n characters
    ends = 1
    for token in tokens:
        if isinstance(token, str):
            # the lowest bit and all above it
            ends = -(ends & -ends) & ((2 << len(name)) - 1)
        elif isinstance(token, _One):
            members, negated = token
            ends = (ends & sum(at for c, at in places.items() if (c in members) != negated)) << 1
        else:
            starts, ends = ends, 0
            for string in token:
                reached = starts
                for char in string:
                    reached = (reached & places.get(char, 0)) << 1
                ends |= reached
        if not ends:
            return False
    return ends >> len(name) == 1


@lru_cache(maxsize=1024)
def _places(name: str) -> dict[str, int]:
    """Return the places of each character of a name, as bits."""
    places: dict[str, int] = {}
    for n, char in enumerate(name):
        places[char] = places.get(char, 0) | 1 << n
    return places


@lru_cache(maxsize=256)
def _parse(pattern: str) -> list[list[_Token]]:
    """Parse a pattern to the tokens of each part; no parts if one is malformed."""
    try:
        return [_parse_part(part) for part in pattern.split("/")]
    except ValueError:
        return []


def _parse_part(part: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(part):
        found = _TOKEN.match(part, position)
        if found is None:
            raise ValueError(f"stray {part[position]!r}")
        position = found.end()
        kind, text = found.lastindex, found[found.lastindex or 0]
        if kind == _STAR:
            tokens.append("*")
        elif kind == _ONE:
            tokens.append(_One(frozenset(), negated=True))
        elif kind == _SET:
            tokens.append(_parse_set(text))
        else:
            tokens.append(text.split(",") if kind == _LIST else [text])
    return tokens


def _parse_set(text: str) -> _One:
    negated = text.startswith("!")
    members: set[str] = set()
    for first, last, single in _SET_ITEM.findall(text, int(negated)):
        # a range is "in ASCII collating sequence"
        if not single and not first <= last <= "\x7f":
            raise ValueError(f"range {first}-{last}")
        members.update(single or map(chr, range(ord(first), ord(last) + 1)))
    if not members:
        raise ValueError("no characters in brackets")
    return _One(frozenset(members), negated)
