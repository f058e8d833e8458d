"""The table of messages as OSCQuery shows it: https://github.com/Vidvox/OSCQueryProposal"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from gansynth_server.osc.schema import INTEGER, LATENT, NUMBER, PAIRS, REQUIRED, Arg, Row

SUPPORTED = ("ACCESS", "DESCRIPTION", "RANGE", "OVERLOADS")
"""The proposal's optional attributes that nodes have."""
KNOWN = {
    *("FULL_PATH", "CONTENTS", "TYPE", *SUPPORTED),
    *("VALUE", "TAGS", "EXTENDED_TYPE", "UNIT", "CRITICAL", "CLIPMODE", "HTML"),
}
_CONTAINER, _SET = 0, 2  # of ACCESS: no value; may be set and not read
_TYPES = {NUMBER: "f", INTEGER: "i", LATENT: "b"}

Node = dict[str, Any]


def namespace(table: Iterable[Row]) -> Node:
    """The root node, with all others inside of it."""
    root: Node = {
        "FULL_PATH": "/",
        "ACCESS": _CONTAINER,
        "DESCRIPTION": "gansynth-server",
        "CONTENTS": {},
    }
    for row in table:
        node, path = root, ""
        for name in row.address[1:].split("/"):
            path += f"/{name}"
            inside = node.setdefault("CONTENTS", {})
            node = inside.setdefault(name, {"FULL_PATH": path, "ACCESS": _CONTAINER})
        node.update(_method(row))
    return root


def find(root: Node, path: str) -> Node | None:
    """The node at an address; None where there is none."""
    node: Node | None = root
    for name in path.strip("/").split("/") if path.strip("/") else []:
        node = None if node is None else node.get("CONTENTS", {}).get(name)
    return node


def _method(row: Row) -> Node:
    """What a row adds to its node: the shortest form first, the longer ones as overloads."""
    reply = f" Replies {row.reply.replace('`', '')}." if row.reply else ""
    usage = ", ".join(arg.text for arg in row.args)
    forms = [_form(row.args[:count]) for count in _counts(row)]
    node: Node = {
        "ACCESS": _SET,
        "DESCRIPTION": f"{row.help}.{reply}" + (f" Arguments: {usage}." if usage else ""),
        **forms[0],
    }
    if forms[1:]:
        node["OVERLOADS"] = forms[1:]
    return node


def _counts(row: Row) -> range:
    """How many arguments a message may have; pairs are any number, and no tag can say so."""
    most = len(row.args) - any(arg.kind == PAIRS for arg in row.args)
    least = sum(arg.default is REQUIRED and arg.kind != PAIRS for arg in row.args)
    return range(least, most + 1)


def _form(args: tuple[Arg, ...]) -> Node:
    if not args:
        return {"TYPE": "N"}  # nothing to send: a button
    return {
        "TYPE": "".join(_TYPES.get(arg.kind, "s") for arg in args),
        "RANGE": [_range(arg) for arg in args],
    }


def _range(arg: Arg) -> dict[str, Any] | None:
    limits: dict[str, Any] = {}
    if arg.choices:
        limits["VALS"] = list(arg.choices)
    if math.isfinite(arg.low):
        limits["MIN"] = arg.low
    if math.isfinite(arg.high):
        limits["MAX"] = arg.high
    return limits or None
