"""OSCQuery, not asked for or wrongly."""

import socket

import pytest

from gansynth_server.errors import UserError
from gansynth_server.options import ServerOptions
from gansynth_server.server.oscquery import OscQuery


def test_off_unless_asked_for():
    assert ServerOptions().oscquery is None


def test_a_taken_port_says_what_to_do():
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(UserError, match="--oscquery"):
        OscQuery("127.0.0.1", taken.getsockname()[1], 1)
    with pytest.raises(UserError, match="--oscquery"):
        OscQuery("127.0.0.1", 70000, 1)
