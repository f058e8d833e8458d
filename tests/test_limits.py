"""Every bound of the wire: queues and rates by themselves, then the real server under them."""

import gc
import struct
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server.errors import UserError
from gansynth_server.handlers import kept
from gansynth_server.instrument.instrument import MOST_UNHEARD
from gansynth_server.latent.slots import MOST_KEPT, MOST_SLOTS, Slots, Still
from gansynth_server.net.rate_limit import MOST_SOURCES, Bucket, RateLimit, Turns
from gansynth_server.osc.codec import MAX_ATOMS, Message, OscError, decode, encode, encode_bundle
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.scheduler import SHARE_BYTES, Scheduler
from gansynth_server.osc.schema import LATENT, NUMBER, parse
from gansynth_server.osc.table import ROWS, TABLE
from gansynth_server.server.osc_log import MOST, Dump
from gansynth_server.server.receiver import MOST_UNPULLED
from tests.server_fixture import Peer, ServerProcess

# rates and queues


def test_a_bucket_gives_its_rate_and_two_seconds_at_one_go():
    bucket = Bucket(10, 0.0)
    assert sum(bucket.take(1, 0.0) for _ in range(100)) == 20
    assert sum(bucket.take(1, 0.5) for _ in range(100)) == 5
    assert sum(bucket.take(1, 1000.0) for _ in range(100)) == 20
    assert not bucket.take(21, 2000.0) and bucket.take(20, 2000.0)


def test_rates_of_messages_and_of_bytes_by_source():
    limit = RateLimit(10)
    assert sum(limit.datagram("a", 4, 0.0) for _ in range(100)) == 20
    assert limit.datagram("b", 4, 0.0)
    assert not limit.datagram("c", 16001, 0.0) and limit.datagram("c", 16000, 0.0)
    assert not limit.datagram("c", 100, 0.0)
    assert not limit.messages("b", 21, 0.0) and limit.messages("b", 20, 0.0)
    assert all(RateLimit(0).datagram("a", 1 << 30, 0.0) for _ in range(100))


def test_sources_are_forgotten_in_the_order_of_their_silence():
    limit = RateLimit(1)
    for n in range(MOST_SOURCES):
        assert limit.datagram(n, 1, 0.0) and limit.datagram(n, 1, 0.0)
    assert not limit.datagram(0, 1, 0.0)
    assert limit.datagram("new", 1, 0.0)  # makes room: 1 was silent longest
    assert not limit.datagram(0, 1, 0.0) and limit.datagram(1, 1, 0.0)


def test_complaints_are_one_a_second_and_counted():
    limit = RateLimit(0)
    told = [limit.complaint("a", n / 1000) for n in range(2500)]
    assert [n for n in told if n is not None] == [0, 999, 999]
    assert limit.complaint("b", 2.5) == 0


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_turns_are_fair_and_keep_each_owners_order(owners):
    turns: Turns[tuple[str, int]] = Turns(100, 100, 1)
    for number, owner in enumerate(owners):
        assert turns.put(owner, (owner, number))
    taken = [turns.take() for _ in owners]
    assert not turns
    left = Counter(owners)
    served: Counter[str] = Counter()
    for owner, _ in taken:
        served[owner] += 1
        # nobody who still waits is more than one behind
        assert all(served[owner] - served[o] <= 1 for o in left if served[o] < left[o])
    for owner in "abc":
        assert [n for o, n in taken if o == owner] == [
            n for n, o in enumerate(owners) if o == owner
        ]


def test_turns_are_bounded():
    turns: Turns[int] = Turns(5, 3, 400)
    assert [turns.put("a", n) for n in range(4)] == [True] * 3 + [False]
    assert [turns.put("b", n) for n in range(4)] == [True] * 2 + [False] * 2
    for _ in range(5):
        turns.take()
    with pytest.raises(KeyError):
        turns.take()
    assert turns.put("a", 0, 100) and not turns.put("a", 0, 1) and not turns.put("b", 0, 101)
    turns.take()
    assert turns.put("a", 0, 100)


def test_messages_for_now_come_in_turns():
    scheduler = Scheduler()
    for n in range(1000):
        scheduler.put("flood", Message(f"/f{n}", ()), None, 0.0)
    for n in range(3):
        scheduler.put("other", Message(f"/o{n}", ()), None, 0.0)
    order = [scheduler.take(0.0).message.address for _ in range(1003)]
    assert [order.index(f"/o{n}") for n in range(3)] == [1, 3, 5]
    assert [address for address in order if address.startswith("/f")] == [
        f"/f{n}" for n in range(1000)
    ]
    assert not scheduler.waits("flood") and not len(scheduler)


def test_bytes_that_wait_are_bounded():
    scheduler = Scheduler()
    part = SHARE_BYTES // 100
    for owner in "abcd":
        for _ in range(100):
            scheduler.put(owner, Message("/a", ()), 50.0, 0.0, part)
        with pytest.raises(UserError, match="MB of a client"):
            scheduler.put(owner, Message("/a", ()), 50.0, 0.0, part)
    with pytest.raises(UserError, match="MB in all"):
        scheduler.put("e", Message("/a", ()), 50.0, 0.0, part)
    scheduler.clear("a")
    scheduler.put("e", Message("/a", ()), 50.0, 0.0, part)


# what a datagram may cost


def pad(data: bytes) -> bytes:
    return data + bytes(4 - len(data) % 4)


def message(address: bytes, tags: bytes, data: bytes = b"") -> bytes:
    return pad(address) + pad(b"," + tags) + data


EMPTY = encode_bundle(None)
WORST = {
    "tags alone": encode_bundle(None, *[message(b"/a", b"T" * 16000)] * 4),
    "mixed": message(b"/a", b"if" * 6000, bytes(4 * 12000)),
    "strings": message(b"/a", b"s" * 8000, b"ab\0\0" * 8000),
    "blobs": message(b"/a", b"b" * 8000, bytes(4 * 8000)),
    "pairs of floats": message(b"/a", b"ffii" * 3000, bytes(4 * 12000)),
    "messages": encode_bundle(None, *[encode("/status")] * 3000),
    "notes": encode_bundle(None, *[encode("/note", 60, 100.0, 7, "z")] * 1400),
    "bundles": encode_bundle(None, *[EMPTY] * 3200),
    "all the way down": b"#bundle\0" + bytes(8) + bytes(65000),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_datagrams_cost_no_more_than_so_many_steps(name):
    """Counted as calls of Python, which a machine's speed does not change."""
    import sys

    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event.endswith("call")

    sys.setprofile(count)
    try:
        decode(WORST[name])
    except OscError:
        pass
    finally:
        sys.setprofile(None)
    # each argument read one by one is a few calls; 64 kB of them would be 16 times as many
    assert calls < 10 * MAX_ATOMS + 20_000


HOSTILE = st.one_of(
    st.integers(),
    st.floats(),  # with NaN and infinities
    st.text(max_size=300),
    st.binary(max_size=64),
    st.sampled_from([None, True, False, "all", "z", "", "\0", "../x", "/", 1e38, -(2**63)]),
)


@given(st.sampled_from(TABLE), st.lists(HOSTILE, max_size=12))
def test_what_handlers_get_is_always_within_the_table(row, values):
    try:
        args = parse(row, tuple(values))
    except UserError:
        return
    for arg, value in zip(row.args, args, strict=True):
        if isinstance(value, float) and value != arg.default:
            assert np.isfinite(value)
            assert arg.kind != NUMBER or arg.low <= value <= arg.high
        if arg.kind == LATENT:
            assert value.dtype == np.float32 and np.isfinite(value).all()
        if isinstance(value, str):
            value.encode()
            assert len(value) <= 32768


@given(st.text(st.sampled_from("/?*[]{}!-,abnotezsu"), min_size=1, max_size=80), st.data())
def test_dispatch_ends_in_rows_or_one_failure(address, data):
    args = tuple(data.draw(st.lists(HOSTILE, max_size=4)))
    handled, failed = [], []
    dispatch(
        Message("/" + address, args),
        lambda row, values: handled.append(row),
        lambda *why: failed.append(why),
    )
    assert len(failed) <= 1 and (handled or failed)
    assert not any(row.exact for row in handled if "/" + address not in ROWS)


def test_a_client_holds_so_many_slots_only():
    slots, still = Slots(4), Slots(4).still(np.zeros(4, np.float32), "still")
    for n in range(MOST_SLOTS):
        slots.put(f"s{n}", still, 0.0)
    with pytest.raises(UserError):
        slots.put("one more", still, 0.0)


def test_a_slot_remembers_so_much_of_what_it_held():
    slots, paths = Slots(1), [Still(np.zeros(1, np.float32), str(n)) for n in range(1000)]
    for n, path in enumerate(paths):
        slots.put("a", path, n / 1000)
    for n in range(1000 - MOST_KEPT, 1000):
        assert slots.path("a", n / 1000) is paths[n]
    assert slots.path("a", 0) is paths[1000 - MOST_KEPT]


def test_dump_is_as_scsynth_shows_it_and_bounded(caplog):
    now = [0.0]
    dump = Dump(lambda: now[0])
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
        for _ in range(5 * MOST):
            dump(("127.0.0.1", 9), datagram, decode(datagram))
        assert len(caplog.messages) == MOST - 2
        now[0] = 1.5
        dump(("127.0.0.1", 9), datagram, decode(datagram))
        assert f"({4 * MOST + 2} not shown)" in caplog.messages[-2]


# the real server


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--output", "none", "--rate-limit", "2000") as process:
        yield process
        assert process.process.poll() is None, process.errors


def metrics(peer):
    reply = peer.ask("/metrics")
    assert reply[0] == "/metrics.reply"
    return dict(zip(reply[1::2], reply[2::2], strict=True))


def settle(peer, name="datagrams_total"):
    """Metrics once nothing more is taken in."""
    before = metrics(peer)
    while True:
        time.sleep(0.2)
        after = metrics(peer)
        if after[name] - before[name] <= 1:
            return after
        before = after


def test_ten_thousand_bad_datagrams_are_a_handful_of_lines_and_a_count(server):
    flooder, watcher = Peer(server.port), Peer(server.port)
    before, lines, begun = metrics(watcher), len(server.errors), time.monotonic()
    for n in range(10_000):
        flooder.socket.send(b"/bad" + struct.pack(">I", n)[:3])
        if n % 50 == 0:
            assert watcher.ask("/status")[0] == "/status.reply"
    after = settle(watcher)
    seconds = time.monotonic() - begun
    counted = sum(after[k] - before[k] for k in ("bad_total", "limited_total", "lost_total"))
    assert counted > 5000  # the rest never reached the socket
    assert after["bad_total"] > before["bad_total"]
    replies = 0
    try:
        while flooder.receive(0.3)[0] == "/fail":
            replies += 1
    except TimeoutError:
        pass
    assert 1 <= replies <= seconds + 2
    assert len(server.errors) - lines <= 5 * (seconds + 1)
    flooder.close()
    watcher.close()


def test_one_who_sends_too_much_is_limited_and_the_others_are_not(server):
    flooder, other = Peer(server.port), Peer(server.port)
    asked = encode("/z/get", "z")
    for n in range(12_000):
        flooder.socket.send(asked)  # well over 2000 a second, on slow machines too
        if n % 100 == 0:
            assert other.ask("/version")[1] == "gansynth-server"
    assert metrics(other)["limited_total"] > 0
    fails = set()
    try:
        while True:
            reply = flooder.receive(0.3)
            if reply[0] == "/fail":
                fails.add(str(reply[2]))
    except TimeoutError:
        pass
    assert fails and all("--rate-limit" in why for why in fails)
    flooder.close()
    other.close()


NAN = float("nan")
NEXT = [
    *WORST.values(),
    message(b"/" + b"*" * 42 + b"x", b""),
    message(b"/" + b"{a,*}*" * 40 + b"x", b""),
    message(b"/*/*", b""),
    encode_bundle(None, *[message(b"/" + b"*?" * 20 + b"%d" % n, b"") for n in range(900)]),
    encode("/note", NAN, 100.0),
    encode("/z/set", "z", np.full(256, np.inf, np.float32)),
    encode_bundle(2_085_000_000, encode("/note", 60, 100)),
    encode_bundle(-(2**30), encode("/note", 60, 0)),
    encode("/z/set", "z", bytes(64000)),
    encode("/z/set", *["x" * 64000]),
    encode("/tuning", "scl", "x" * 32768),
    encode("/fail", "/fail", "from another server"),
    b"",
    b"\0" * 65000,
]


@pytest.mark.parametrize("number", range(len(NEXT)))
def test_whatever_comes_the_next_status_is_answered(server, number):
    sender, other = Peer(server.port), Peer(server.port)
    other.ask("/status")
    sender.socket.send(NEXT[number])
    begun = time.perf_counter()
    reply = other.ask("/status")
    assert reply[0] == "/status.reply", (reply, server.errors[-5:])
    print(f"/status after {NEXT[number][:24]!r}: {1000 * (time.perf_counter() - begun):.1f} ms")
    sender.send("/allsoundoff")
    sender.close()
    other.close()


def test_two_servers_do_not_answer_each_others_failures_for_ever(server):
    peer = Peer(server.port)
    for _ in range(5):
        peer.send("/fail", "/note", "no such slot")
    assert peer.ask("/version")[0] == "/version.reply"
    peer.close()


def test_notes_that_nobody_pulls_are_bounded():
    with ServerProcess("--output", "none", "--max-voices", "2") as process:
        peer = Peer(process.port)
        peer.ask("/stream/open", 48000, 512, 4)
        for n in range(9):
            peer.send("/note", 60, 100, n)
        assert "DSP" in str(peer.until("/fail")[2])  # the ninth
        peer.send("/allsoundoff")
        peer.ask("/stream/close")
        peer.send("/note", 60, 100, 9)  # is heard on the server's output
        peer.send("/sync", 1)
        assert peer.until("/synced") == ("/synced", 1)
        peer.close()


def test_commands_that_nobody_pulls_are_bounded():
    with ServerProcess("--output", "none", "--rate-limit", "0") as process:
        peer = Peer(process.port)
        peer.ask("/stream/open", 48000, 512, 4)
        for n in range(MOST_UNHEARD):
            peer.send("/note", 60, 100, n)
        posted, refused = 0, False
        while not refused and posted < 2 * MOST_UNPULLED:
            for n in range(20):
                peer.send("/note/bend", "all", n % 2)
            posted += 20 * MOST_UNHEARD
            peer.send("/sync", posted)
            while (reply := peer.receive())[0] != "/synced" and not refused:
                refused = "nobody pulls" in str(reply)
        assert refused and posted > 0.9 * MOST_UNPULLED
        peer.send("/stream/close")
        assert peer.until("/done") == ("/done", "/stream/close")
        peer.send("/sync", -1)
        while peer.until("/synced") != ("/synced", -1):
            pass
        peer.close()


class Owner:
    pass


def seconds(count):
    return np.zeros(count * 16000, np.float32)


def test_sounds_kept_for_a_client_are_bounded():
    sounds, owner = kept.Kept(), Owner()
    for n in range(kept.MOST + 4):
        sounds.put(owner, f"a{n}", seconds(4))
    assert sounds.names(owner) == [f"a{n}" for n in range(4, kept.MOST + 4)]
    sounds.put(owner, "a4", seconds(4))
    assert sounds.names(owner)[-1] == "a4"  # the newest now
    for name in ("long", "longer"):
        sounds.put(owner, name, seconds(kept.LONGEST - 32))
    assert sounds.names(owner) == ["longer"]
    sounds.put(owner, "longest", seconds(kept.LONGEST + 1))
    assert sounds.names(owner) == ["longest"]


def test_sounds_kept_for_all_clients_are_bounded():
    sounds, small = kept.Kept(), Owner()
    sounds.put(small, "mine", seconds(4))
    large = [Owner() for _ in range(kept.ALTOGETHER // kept.LONGEST)]
    for owner in large:
        for name in "ab":
            sounds.put(owner, name, seconds(kept.LONGEST // 2))
    assert sounds.names(small) == ["mine"]  # it had least
    assert sum(len(sounds.names(owner)) for owner in large) == 2 * len(large) - 1
    large.clear()
    gc.collect()
    sounds.put(small, "more", seconds(kept.LONGEST - 4))
    assert sounds.names(small) == ["mine", "more"]  # what others had went with them
