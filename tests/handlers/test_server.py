"""Replies of the server group that need no server."""

from gansynth_server.handlers.server import MAX_LIST_BYTES, _parts
from gansynth_server.osc.codec import encode


def test_long_lists_are_cut_into_datagrams():
    addresses = [f"/a/long/address/number/{n}" for n in range(1000)]
    parts = list(_parts(addresses))
    assert len(parts) > 1 and [a for part in parts for a in part] == addresses
    for part in parts:
        assert len(encode("/help.list", *part)) < 8192
    assert len(encode("/help.list", *parts[0])) > MAX_LIST_BYTES * 0.8  # filled as far as they go
    assert list(_parts(["/one"])) == [["/one"]]
