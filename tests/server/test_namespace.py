"""The table of messages as OSCQuery's namespace."""

from gansynth_server.osc.schema import REQUIRED, parse
from gansynth_server.osc.table import TABLE
from gansynth_server.server.namespace import find, namespace


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
