"""Bounds of a client's slots."""

import numpy as np
import pytest

from gansynth_server.errors import UserError
from gansynth_server.latent.slots import MAX_HISTORY, MAX_SLOTS, ConstantPath, Slots


def test_a_client_holds_so_many_slots_only():
    slots, still = Slots(4), Slots(4).still(np.zeros(4, np.float32), "still")
    for n in range(MAX_SLOTS):
        slots.put(f"s{n}", still, 0.0)
    with pytest.raises(UserError):
        slots.put("one more", still, 0.0)


def test_a_slot_remembers_so_much_of_what_it_held():
    slots, paths = Slots(1), [ConstantPath(np.zeros(1, np.float32), str(n)) for n in range(1000)]
    for n, path in enumerate(paths):
        slots.put("a", path, n / 1000)
    for n in range(1000 - MAX_HISTORY, 1000):
        assert slots.path("a", n / 1000) is paths[n]
    assert slots.path("a", 0) is paths[1000 - MAX_HISTORY]
