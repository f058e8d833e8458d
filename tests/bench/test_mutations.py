"""The fuzzer's traffic."""

import itertools
import random

from gansynth_server.bench.mutations import LARGEST, datagrams, real
from gansynth_server.osc.codec import OscError, decode
from gansynth_server.osc.table import TABLE


def first(seed, count):
    return list(itertools.islice(datagrams(seed), count))


def test_the_same_seed_is_the_same_traffic():
    assert first(3, 300) == first(3, 300)
    assert first(3, 300) != first(4, 300)


def test_all_kinds_of_traffic_come():
    good = bad = 0
    addresses = set()
    for datagram in first(1, 10_000):
        assert len(datagram) <= LARGEST and b"/quit" not in datagram
        try:
            addresses |= {message.address for _, message in decode(datagram)}
            good += 1
        except OscError:
            bad += 1
    assert good > 1000 and bad > 800
    named = {row.address for row in TABLE} - {"/quit", "/dump", "/reply/to"}
    assert named <= addresses and len(addresses - named) > 200


def test_the_stock_is_good():
    for datagram in real(random.Random(1)):
        decode(datagram)
