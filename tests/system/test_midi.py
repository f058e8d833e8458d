"""A MIDI keyboard and a client of one server."""

import numpy as np

from gansynth_server.options import ServerOptions
from gansynth_server.server.server import Server
from tests.support import memory_midi
from tests.support.client import Client
from tests.support.memory_midi import devices  # noqa: F401


def test_a_client_that_joins_hears_the_keyboard_in_its_stream(devices):  # noqa: F811
    devices["Keys"] = None
    server = Server(ServerOptions(port=0, output="none", midi="Keys"))
    server.start()
    peer = Client(server.port)
    try:
        peer.send("/z/random", "mine", 3)
        id = peer.ask("/stream/open", 48000, 512, 4)[2]
        assert peer.ask("/midi/join", 1) == ("/done", "/midi/join", 1)
        assert peer.ask("/midi/join", 1) == ("/done", "/midi/join", 1)  # twice is once
        assert peer.ask("/z/get", "mine")[0] == "/fail"  # the keyboard's latents now
        peer.send("/midi/cc", 21, "none")
        peer.send("/sync", 1)
        assert peer.until("/synced")
        assert 21 in server.midi.mapping and server.midi.mapping[21].name == "none"
        memory_midi.send("Keys", memory_midi.NOTE)
        memory_midi.until(lambda: server.midi.client.notes)
        peer.send("/sync", 2)
        assert peer.until("/synced")
        heard = [peer.ask("/stream/pull", k, id)[3:] for k in range(20)]
        assert np.abs(heard).max() > 0.001
        assert peer.ask("/midi/join", 0) == ("/done", "/midi/join", 0)
        assert peer.ask("/z/get", "mine")[0] == "/z"
        assert server.midi.client.bus is server.main_bus
        assert peer.ask("/stream/pull", 20, id)[0] == "/b"  # it is still this client's own
        assert peer.ask("/midi/cc", 74, "loudness")[:2] == ("/fail", "/midi/cc")
    finally:
        peer.close()
        server.stop()
    assert devices["Keys"] is None
