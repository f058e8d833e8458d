"""Arrays between two processes."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from gansynth_server.render import channel


@pytest.mark.parametrize("room", [1, 100, 1 << 20])
def test_arrays_come_whole_in_shared_memory_and_through_the_pipe(room, monkeypatch):
    monkeypatch.setattr(channel, "CAPACITY", room)
    ours, theirs = channel.Channel.pair(multiprocessing.get_context("spawn"))
    random = np.random.default_rng(1)
    sent = [random.random(shape, np.float32) for shape in ((3, 4), (0, 5), (7,), (9, 8, 1))]
    sent.append(np.asfortranarray(sent[0]))
    for n in range(3):
        theirs.send(("thing", n), sent)
        thing, came = ours.receive()
        assert thing == ("thing", n)
        assert all(a.shape == b.shape and (a == b).all() for a, b in zip(sent, came, strict=True))
        theirs.send(None, [np.zeros(9, np.float32)])  # what came is not overwritten
        ours.receive()
        assert (came[0] == sent[0]).all()
