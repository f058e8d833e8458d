"""How messages are recorded."""

import json

import numpy as np
import pytest

from gansynth_server.osc.table import ROWS
from gansynth_server.server.receiver import _words
from gansynth_server.util.beats import Beats


@pytest.mark.parametrize(
    ("address", "came", "checked", "kept"),
    [
        ("/note", (60, 100.5, "a"), [60.0, 100.5, "a", "z"], (60, 100.5, "a")),
        ("/z/set", ("z", b"\x3f\x80\0\0"), ["z", np.float32([1])], ("z", 1.0)),
        ("/hold", (True,), [1], (1,)),
        ("/z/walk", ("z", "2b"), ["z", Beats(2.0), 1.0, None], ("z", "2b")),
        ("/z/random", (), ["z", 7, 1.0], ("z", 7, 1.0)),  # the seed was drawn
    ],
)
def test_a_message_is_recorded_so_that_it_can_be_written(address, came, checked, kept):
    words = tuple(_words(ROWS[address], came, checked))
    assert words == (address, *kept)
    json.dumps(words)
