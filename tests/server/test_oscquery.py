"""OSCQuery: the table of messages as its namespace, and ports that cannot be opened."""

import socket

import pytest

from gansynth_server.errors import UserError
from gansynth_server.options import ServerOptions
from gansynth_server.osc.schema import REQUIRED, parse
from gansynth_server.osc.table import TABLE
from gansynth_server.server.oscquery import OscQuery, find, namespace


def test_off_unless_asked_for():
    assert ServerOptions().oscquery is None


def test_a_taken_port_says_what_to_do():
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(UserError, match="--oscquery"):
        OscQuery("127.0.0.1", taken.getsockname()[1], 1)
    with pytest.raises(UserError, match="--oscquery"):
        OscQuery("127.0.0.1", 70000, 1)


def test_every_type_string_is_one_that_the_message_takes():
    values = {"f": 1.0, "i": 1, "s": "z", "b": b"\0\0\0\0"}
    root = namespace(TABLE)
    for row in TABLE:
        node = find(root, row.address)
        assert node is not None
        for form in (node, *node.get("OVERLOADS", ())):
            tags = form["TYPE"]
            if tags == "N":
                assert parse(row, (None,)) == parse(row, ())
                continue
            args = []
            for place, tag in enumerate(tags):
                limits = (form["RANGE"][place] or {}) if "RANGE" in form else {}
                value = limits.get("VALS", [values[tag]])[0]
                args.append(limits.get("MIN", value))
            parse(row, tuple(args))
        required = sum(arg.default is REQUIRED for arg in row.args)
        assert len(node["TYPE"]) in (required, 1) or node["TYPE"] == ""
