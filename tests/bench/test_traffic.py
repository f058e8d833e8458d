"""The soak's traffic."""

from gansynth_server.bench.traffic import LEFT_OUT, Traffic
from gansynth_server.osc.codec import OscError, decode
from gansynth_server.osc.table import ROWS


def test_traffic_is_drawn_from_the_whole_table_and_reproducible():
    first, again = (Traffic(5) for _ in range(2))
    datagrams = [first.datagram() for _ in range(8000)]
    assert datagrams == [again.datagram() for _ in range(8000)]
    reached, broken = set(), 0
    for datagram in datagrams:
        try:
            reached.add(decode(datagram)[0][1].address)
        except OscError:
            broken += 1
    wanted = {address for address in ROWS if not address.startswith(LEFT_OUT)}
    assert wanted <= reached and broken > 20
    assert not any(address.startswith("/quit") for address in reached)
