"""Records of all sizes between threads and processes, whole and in order, without waiting."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import select
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gansynth_server.engine.commands import Release, Timed
from gansynth_server.engine.record_socket import PIECE, RecordSocket

SIZES = (1, 2, 100, 4096, PIECE - 40, PIECE, PIECE + 1, 3 << 20, 1, 17)
TIMEOUT_S = 30


@pytest.fixture
def ends() -> Iterator[tuple[RecordSocket, RecordSocket]]:
    pair = RecordSocket.pair()
    yield pair
    for end in pair:
        end.close()


def received(end: RecordSocket, count: int) -> list[Any]:
    """The next so many records."""
    records: list[Any] = []
    deadline = time.monotonic() + TIMEOUT_S
    while len(records) < count:
        assert select.select([end], [], [], deadline - time.monotonic())[0], len(records)
        records += end.receive()
    assert len(records) == count
    return records


def send(end: RecordSocket, records: list[Any]) -> None:
    end.put(records)
    assert end.flush(TIMEOUT_S)


def payload(size: int) -> bytes:
    return bytes(n % 251 for n in range(min(size, 1000))) * -(-size // 1000)


def echo(end: RecordSocket) -> None:
    """Send back what comes until the other end is closed; for a process of its own."""
    with contextlib.suppress(EOFError):
        while True:
            select.select([end], [], [])
            send(end, end.receive())


def test_nothing_has_come_at_first(ends: tuple[RecordSocket, RecordSocket]) -> None:
    assert ends[0].receive() == [] and ends[0].waiting == 0


def test_lists_arrive_as_records_in_order(ends: tuple[RecordSocket, RecordSocket]) -> None:
    ours, theirs = ends
    ours.put([1, "two"])
    ours.put([])
    ours.put([Timed(Release(7, 0.5), 1.5, 0)])
    theirs.put(["back"])
    assert received(theirs, 3) == [1, "two", Timed(Release(7, 0.5), 1.5, 0)]
    assert received(ours, 1) == ["back"]


def test_records_of_all_sizes_arrive_between_threads(
    ends: tuple[RecordSocket, RecordSocket],
) -> None:
    ours, theirs = ends
    wanted = [payload(size) for size in SIZES]
    thread = threading.Thread(target=lambda: [send(ours, [record]) for record in wanted])
    thread.start()
    assert received(theirs, len(wanted)) == wanted
    thread.join()


def test_records_of_all_sizes_arrive_across_a_process() -> None:
    ours, theirs = RecordSocket.pair()
    process = multiprocessing.get_context("spawn").Process(target=echo, args=(theirs,))
    process.start()
    theirs.close()
    wanted = [payload(size) for size in SIZES]
    thread = threading.Thread(target=lambda: [send(ours, [record]) for record in wanted])
    thread.start()
    try:
        assert received(ours, len(wanted)) == wanted
    finally:
        thread.join()
        ours.close()
        process.join(TIMEOUT_S)
    assert process.exitcode == 0  # it has noticed the end


def test_a_full_pipe_never_blocks(ends: tuple[RecordSocket, RecordSocket]) -> None:
    ours, theirs = ends
    record = payload(100_000)
    put = threading.Event()

    def fill() -> None:
        for number in range(100):  # 10 MB, of which a pipe keeps a part
            ours.put([number, record])
        put.set()

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    assert put.wait(TIMEOUT_S) and ours.waiting > 1_000_000
    assert not ours.flush() and not ours.flush(0.01)
    thread = threading.Thread(target=lambda: ours.flush(TIMEOUT_S))
    thread.start()
    records = received(theirs, 200)
    thread.join()
    assert records[::2] == list(range(100)) and set(records[1::2]) == {record}
    assert ours.waiting == 0


def test_two_writers_do_not_mix(ends: tuple[RecordSocket, RecordSocket]) -> None:
    ours, theirs = ends

    def write(writer: int) -> None:
        for number in range(300):
            send(ours, [(writer, number, payload(number * 37 + writer))])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    records = received(theirs, 600)
    for thread in threads:
        thread.join()
    for writer in range(2):
        assert [r for r in records if r[0] == writer] == [
            (writer, number, payload(number * 37 + writer)) for number in range(300)
        ]


def test_the_end_is_noticed_on_both_ways(ends: tuple[RecordSocket, RecordSocket]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(OSError, match=r".*"):
        ours.put([1])
    with pytest.raises(OSError, match=r".*"):
        ours.flush(1.0)


@pytest.mark.parametrize("size", [1, 100, PIECE, 200_000])
@pytest.mark.parametrize("unread", [False, True])
def test_what_was_sent_before_the_end_arrives(size: int, unread: bool) -> None:
    ours, theirs = RecordSocket.pair()
    # exactly what is read at once, with its size and the frame of the pickle
    overhead = len(pickle.dumps([payload(size)], 5)) + 4 - size
    record = payload(size)[: size - overhead] if size == PIECE else payload(size)
    if unread:
        ours.put(["never read"])
    theirs.put([record])
    assert theirs.flush()
    theirs.close()
    assert received(ours, 1) == [record]
    with pytest.raises(EOFError):
        ours.receive()
    ours.close()
