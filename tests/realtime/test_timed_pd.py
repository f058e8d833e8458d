"""Time tags and real Pd: where notes land in a stream that Pd has recorded."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.realtime.test_scheduler import a_note
from tests.support.client import Client
from tests.support.pd_harness import RATE, Bench
from tests.support.sounds import onsets

pytestmark = pytest.mark.real_time

NOTES, STEP, HELD = 200, 0.0611, 0.03


def test_two_hundred_notes_land_within_one_sample(port: int, tmp_path: Path) -> None:
    with Bench(tmp_path, port) as pd:
        pd.send("pd dsp 1")
        stream = float(pd.wait("gansynth: done /stream/open").split()[3])
        peer = Client(port)
        assert peer.ask("/stream/join", stream)[:2] == ("/done", "/stream/join")
        peer.ask("/notify", 1)
        peer.send("/z/random", "z", 5)
        peer.send("/synthesize", "warm", 60)
        peer.until("/synthesized")
        time.sleep(2)
        pd.record(tmp_path / "notes.wav")
        pd.settle()
        begin = time.time() + 0.5
        for n in range(NOTES):
            peer.send_at(begin + n * STEP, ("/note", 60, 100, n))
            peer.send_at(begin + n * STEP + HELD, ("/note/off", n))
        ended = 0
        while ended < NOTES:
            reply = peer.receive(20)
            assert reply[0] != "/late", reply
            ended += reply[0] == "/note/end"
        time.sleep(0.5)
        sound = pd.recorded(tmp_path / "notes.wav")
        peer.close()
        assert not pd.said("gansynth: underrun"), pd.stderr
        assert not pd.complaints, pd.stderr
    note = a_note(60, 5, HELD, 20000)
    first = int(np.flatnonzero(sound)[0]) - int(np.flatnonzero(note)[0])
    due = np.arange(NOTES) * STEP * RATE
    found = onsets(sound, note, first + np.round(due).astype(int))
    off = found - found[0] - due
    print(f"samples off: {off.min():.2f} … {off.max():.2f}")
    assert np.abs(off).max() <= 1
