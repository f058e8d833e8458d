"""Rates of messages and bytes by source."""

from gansynth_server.net.rate_limit import MAX_SOURCES, Bucket, RateLimit


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
    for n in range(MAX_SOURCES):
        assert limit.datagram(n, 1, 0.0) and limit.datagram(n, 1, 0.0)
    assert not limit.datagram(0, 1, 0.0)
    assert limit.datagram("new", 1, 0.0)  # makes room: 1 was silent longest
    assert not limit.datagram(0, 1, 0.0) and limit.datagram(1, 1, 0.0)


def test_complaints_are_one_a_second_and_counted():
    limit = RateLimit(0)
    told = [limit.complaint("a", n / 1000) for n in range(2500)]
    assert [n for n in told if n is not None] == [0, 999, 999]
    assert limit.complaint("b", 2.5) == 0
