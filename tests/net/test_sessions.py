"""When sessions are made and forgotten, and how much a stranger is sent."""

import pytest

from gansynth_server.errors import UserError
from gansynth_server.net.sessions import Session as Known
from gansynth_server.net.sessions import Sessions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Silent:
    number, notes = 0, ()


def peers_of(most, clock, busy=lambda peer: False):
    left = []
    return Sessions(most, lambda number: Silent(), busy, left.append, 60.0, clock), left


def test_silent_ones_are_forgotten_and_busy_ones_are_not():
    clock, busy = Clock(), set()
    peers, left = peers_of(8, clock, lambda peer: peer in busy)
    first, second = peers.at(("a", 1)), peers.at(("a", 2))
    busy.add(second)
    clock.now = 59
    peers.sweep()
    assert not left
    clock.now = 60
    peers.sweep()
    assert left == [first] and peers.get(("a", 2)) is second and len(peers) == 1
    busy.clear()
    second.heard(8, clock.now)
    clock.now = 119
    peers.sweep()
    assert len(peers) == 1
    clock.now = 120
    peers.sweep()
    assert left == [first, second] and not len(peers)


def test_room_is_made_by_who_is_silent_and_by_strangers_first():
    clock, busy = Clock(), set()
    peers, left = peers_of(3, clock, lambda peer: peer in busy)
    known = [peers.at(("a", n)) for n in range(3)]
    with pytest.raises(UserError, match="--max-clients"):
        peers.at(("b", 0))
    clock.now = 10
    known[0].heard(4, 10)
    busy.add(known[1])
    stranger = peers.at(("b", 0), proven=False)
    assert left == [known[2]]
    friend = peers.at(("c", 0))
    assert left == [known[2], stranger]
    with pytest.raises(UserError, match="--max-clients"):
        peers.at(("d", 0))
    assert friend is peers.at(("c", 0))


def test_a_stranger_is_sent_three_times_what_it_sent():
    peer = Known(("a", 1), Silent(), 0.0, proven=False)
    assert not peer.affords(1)
    peer.heard(20, 0.0)
    assert peer.affords(40) and not peer.affords(21) and peer.affords(20) and not peer.affords(1)
    peer.heard(10**6, 0.0)
    assert peer.affords(4096) and not peer.affords(1)
    token = peer.token
    for _ in range(7):
        assert not peer.prove(False)
    assert peer.token == token
    assert not peer.prove(False) and peer.token != token
    assert peer.prove(True) and peer.affords(10**9)
