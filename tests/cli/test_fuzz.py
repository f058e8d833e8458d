"""``gansynth fuzz``, wrongly asked."""

import pytest

from gansynth_server.cli.fuzz import FuzzCommand
from gansynth_server.errors import UserError


def test_bad_flags():
    with pytest.raises(UserError, match="--datagrams"):
        FuzzCommand(datagrams=0).run()
