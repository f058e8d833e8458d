"""Bounds of the sounds that are kept for clients."""

import gc

import numpy as np

from gansynth_server.handlers import arrays as kept


class Owner:
    pass


def seconds(count):
    return np.zeros(count * 16000, np.float32)


def test_sounds_kept_for_a_client_are_bounded():
    sounds, owner = kept.KeptSounds(), Owner()
    for n in range(kept.MAX_SOUNDS + 4):
        sounds.put(owner, f"a{n}", seconds(4))
    assert sounds.names(owner) == [f"a{n}" for n in range(4, kept.MAX_SOUNDS + 4)]
    sounds.put(owner, "a4", seconds(4))
    assert sounds.names(owner)[-1] == "a4"  # the newest now
    for name in ("long", "longer"):
        sounds.put(owner, name, seconds(kept.MAX_SECONDS - 32))
    assert sounds.names(owner) == ["longer"]
    sounds.put(owner, "longest", seconds(kept.MAX_SECONDS + 1))
    assert sounds.names(owner) == ["longest"]


def test_sounds_kept_for_all_clients_are_bounded():
    sounds, small = kept.KeptSounds(), Owner()
    sounds.put(small, "mine", seconds(4))
    large = [Owner() for _ in range(kept.MAX_TOTAL_SECONDS // kept.MAX_SECONDS)]
    for owner in large:
        for name in "ab":
            sounds.put(owner, name, seconds(kept.MAX_SECONDS // 2))
    assert sounds.names(small) == ["mine"]  # it had least
    assert sum(len(sounds.names(owner)) for owner in large) == 2 * len(large) - 1
    large.clear()
    gc.collect()
    sounds.put(small, "more", seconds(kept.MAX_SECONDS - 4))
    assert sounds.names(small) == ["mine", "more"]  # what others had went with them
