"""/help answers from the one table."""

from gansynth_server.osc.table import ROWS, TABLE


def listed(peer, *args):
    peer.send("/help", *args)
    peer.send("/sync", 1)
    found = []
    while (reply := peer.receive())[0] != "/synced":
        assert reply[0] == "/help.list"
        found += reply[1:]
    return found


def test_every_row_explains_itself_over_osc(peer):
    for row in TABLE:
        reply = peer.ask("/help", row.address)
        arguments = ", ".join(arg.text for arg in row.args)
        assert reply == (
            "/help.reply",
            row.address,
            arguments,
            row.reply.replace("`", ""),
            row.help,
        )


def test_a_note_says_its_ranges(peer):
    assert "velocity 0…127" in peer.ask("/help", "/note")[2]


def test_without_an_address_all_are_listed(peer):
    assert listed(peer) == list(ROWS)


def test_a_pattern_lists_what_it_matches_and_what_lies_below(peer):
    assert set(listed(peer, "/note/*")) == {a for a in ROWS if a.startswith("/note/")}
    assert set(listed(peer, "/{version,sync}")) == {"/version", "/sync"}
    assert set(listed(peer, "/z")) == {a for a in ROWS if a.startswith("/z/")}
    assert "/note/off" in listed(peer, "/n*")


def test_what_is_not_there_fails(peer):
    for address in ("/nope", "/note/nope", "note", "/*/*/*/*", "*" * 200):
        assert peer.ask("/help", address)[:2] == ("/fail", "/help"), address
