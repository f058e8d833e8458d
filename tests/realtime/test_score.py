"""A score played live is the score rendered offline, to the sample."""

import time

import numpy as np
import pytest

from gansynth_server import handlers
from gansynth_server.osc.table import TABLE
from tests.realtime.test_record import warm
from tests.support.client import Client
from tests.support.puller import BLOCK, RATE, Puller
from tests.support.scores import sound, write
from tests.support.server import ServerProcess

PLAYED = {row.method for row in TABLE for room in handlers.PLAYING if hasattr(room, row.method)}
STEP = 0.25
"""Seconds from one to the next: a fraction that time tags hold exactly."""
EVERY = [row for row in TABLE if row.method in PLAYED]


def everything():
    """Every message that has to do with sound, as its row's example has it, among notes."""
    yield 0.0, ("/z/random", "z", 3)
    yield 0.0, ("/z/random", "a", 4)
    for n, row in enumerate(EVERY):
        at = 1.0 + n * STEP
        yield at, ("/note", 60, 100)  # what many are about
        yield at + STEP / 4, ("/note", 48 + n % 13, 60, f"other {n}")
        yield at + STEP / 2, (row.address, *row.example)
        yield at + STEP * 5 / 8, ("/note", 67, 80, "after")
        yield at + STEP * 3 / 4, ("/note/off", f"other {n}")
    end = 1.5 + len(EVERY) * STEP
    for k in range(6):  # latents that move
        slot = "lw"[k % 2]
        yield end + k / 4, ("/note", 60 + k, 80, f"{slot}{k}", slot)
    yield end + 1.5, ("/allnotesoff",)


@pytest.mark.real_time
def test_live_is_offline_to_the_sample(tmp_path, tiny):
    score = sorted(everything(), key=lambda event: event[0])
    flags = ("--output", "none", "--backend", "eager", "--root", str(tmp_path))
    with (
        ServerProcess(*flags) as server,
        Puller(server.port, ahead=64) as listener,
        listener.in_real_time(),
    ):
        peer = Client(server.port)
        peer.ask("/stream/join", listener.stream)
        peer.ask("/notify", 1)
        warm(server.port, *(words for _, words in score))
        time.sleep(1)
        heard_from = len(listener.sound) // BLOCK
        peer.play(time.time() + 1.5, score)
        replies = []
        peer.send_at(time.time() + 4.0, ("/sync", 1))
        while (reply := peer.receive(20))[0] != "/synced":
            replies.append(reply)
        time.sleep(0.5)
        live = listener.sound[heard_from * BLOCK :]
        peer.close()
        assert not server.errors
    assert not [reply for reply in replies if reply[0] in ("/late", "/fail")]
    offline = sound(write(tmp_path / "a.jsonl", *score), tiny, channels=1, seed=1, root=tmp_path)
    offline = offline[0]
    shift = np.flatnonzero(live)[0] - np.flatnonzero(offline)[0]
    live = live[shift:][: len(offline)]
    assert len(live) == len(offline) > (3 + len(EVERY) * STEP) * RATE
    off = np.abs(live - offline)
    print(f"largest difference {off.max():.2g} of {np.abs(offline).max():.2g}")
    assert off.max() <= 1e-6
