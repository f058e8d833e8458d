"""The checkpoint changes under a held chord: real sockets, a pulled stream, real loading."""

import numpy as np
import pytest

from gansynth_server.bench import soak
from gansynth_server.model import checkpoint
from tests.support.puller import BLOCK, Puller
from tests.support.server import ServerProcess
from tests.support.sounds import roughness

SWITCHES = 50
CHORD = (48, 55, 60, 64)


def hold_chord(puller):
    puller.send("/z/preset", "z", "drawbar_organ")
    puller.send("/hold", 1)
    for pitch in CHORD:
        puller.send("/note", pitch, 100)
    puller.send("/sync", 1)
    puller.pull_until(lambda: ("/synced", 1) in puller.told)
    puller.listen(100)


def test_a_chord_goes_on_while_the_checkpoint_changes_fifty_times(checkpoints):
    with ServerProcess("--output", "none", "--models-mb", "0") as server:
        puller = Puller(server.port)
        hold_chord(puller)
        steady = roughness(puller.sound[-100 * BLOCK :])
        puller.blocks.clear()
        for n in range(SWITCHES):
            done = ("/done", "/checkpoint/load", ("one", "two")[n % 2])
            puller.told.clear()
            puller.send("/checkpoint/load", done[2])
            puller.pull_until(lambda done=done: done in puller.told)
        assert puller.status()[1] == len(CHORD)
        sound = puller.sound
        loud = np.sqrt(np.mean(sound.reshape(-1, BLOCK) ** 2, axis=1))
        assert loud.min() > 0.2 * np.median(loud) > 1e-3
        assert roughness(sound) <= 2 * steady + 1e-5
        broken = sound.copy()
        broken[len(sound) // 2 :] += 0.01
        assert roughness(broken) > 2 * steady + 1e-5  # a jump would have been seen
        assert not server.complaints


@pytest.mark.real_time
def test_no_block_is_late_while_full_networks_are_loaded(tmp_path):
    names = soak.copies("all_instruments", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(checkpoint.VARIABLE, str(tmp_path))
        flags = ("--output", "none", "--models-mb", "0", "--realtime")
        with ServerProcess("--checkpoint", names[0], *flags) as server:
            puller = Puller(server.port)
            hold_chord(puller)
            before = puller.status()[7]
            for name in (names[1], names[2], names[0]):
                done = ("/done", "/checkpoint/load", name)
                puller.send(*done[1:])
                puller.pull_until(lambda done=done: done in puller.told)
            assert puller.status()[7] == before


@pytest.mark.parametrize("name", ["cut", "odd"])
def test_a_broken_checkpoint_leaves_the_old_one_playing(name, checkpoints):
    with ServerProcess("--output", "none") as server:
        puller = Puller(server.port)
        hold_chord(puller)
        puller.told.clear()
        puller.send("/checkpoint/load", name)
        puller.send("/sync", 2)
        puller.pull_until(lambda: ("/synced", 2) in puller.told)
        fails = [reply for reply in puller.told if reply[0] == "/fail"]
        assert len(fails) == 1 and fails[0][1] == "/checkpoint/load" and name in str(fails[0][2])
        assert puller.ask("/checkpoint/info")[1] == "all_instruments"
        assert puller.status()[1] == len(CHORD)
        puller.send("/note", 72, 100)
        puller.pull_until(lambda: puller.status()[1] == len(CHORD) + 1)
        assert not server.complaints
