"""``/dump``: what is written of datagrams."""

from gansynth_server.osc.codec import decode, encode
from gansynth_server.server.osc_log import MAX_PER_SECOND, OscLog


def test_dump_is_as_scsynth_shows_it_and_bounded(caplog):
    now = [0.0]
    dump = OscLog(lambda: now[0])
    dump.level = 1
    datagram = encode("/note", 60, 100.5, "lead\n", b"blob")
    with caplog.at_level("WARNING", "gansynth_server.dump"):
        dump(("127.0.0.1", 9), datagram, decode(datagram))
        assert caplog.messages == ['127.0.0.1:9 [ "/note", 60, 100.5, "lead\\n", DATA[4] ]']
        dump.level = 2
        caplog.clear()
        dump(("127.0.0.1", 9), datagram, decode(datagram))
        assert caplog.messages[0] == "127.0.0.1:9 size 40"
        assert "2f 6e 6f 74 65" in caplog.messages[1] and "|/note" in caplog.messages[1]
        caplog.clear()
        dump.level = 1
        for _ in range(5 * MAX_PER_SECOND):
            dump(("127.0.0.1", 9), datagram, decode(datagram))
        assert len(caplog.messages) == MAX_PER_SECOND - 2
        now[0] = 1.5
        dump(("127.0.0.1", 9), datagram, decode(datagram))
        assert f"({4 * MAX_PER_SECOND + 2} not shown)" in caplog.messages[-2]
