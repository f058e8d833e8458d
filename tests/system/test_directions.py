"""Principal directions over OSC."""

import numpy as np
import pytest

from gansynth_server.latent import directions
from gansynth_server.model import checkpoint

pytestmark = pytest.mark.usefixtures("no_complaints")


def test_over_osc(peer):
    def get(slot):
        return np.float32(peer.ask("/z/get", slot)[2:])

    known = directions.load(checkpoint.load("all_instruments"))
    reply = peer.ask("/pca/info")
    assert reply[:2] == ("/pca/info.reply", 64)
    assert np.allclose(reply[2:], np.stack([known.share, known.reach], axis=1).ravel())
    peer.send("/z/preset", "p", "violin")
    violin = get("p")
    peer.send("/pca", "p", 0, 1.5, 3.0, -2.0)
    moved = 1.5 * known.latent[0] - 2 * known.latent[3]
    assert np.allclose(get("p"), violin + moved, atol=1e-5)
    peer.send("/pca", "p", 3.0, 0.0)
    assert np.allclose(get("p"), violin + 1.5 * known.latent[0], atol=1e-5)
    peer.send("/pca/noz", "p", 3, -2.0)
    assert np.allclose(get("p"), -2 * known.latent[3], atol=1e-5)
    peer.send("/pca/noz", "new", 0, 1.5)
    peer.send("/pca/noz", "new", 3, -2.0)
    assert np.allclose(get("new"), moved, atol=1e-5)
    peer.send("/z/preset", "p", "violin")
    assert np.array_equal(get("p"), violin)
    for bad in (("p", 0), ("p", 0.5, 1), ("p", 64, 1), ("p", -1, 1), ("p", 0, 101), ("p",)):
        assert peer.ask("/pca", *bad)[:2] == ("/fail", "/pca"), bad
    assert peer.ask("/pca", "missing", 0, 1)[:2] == ("/fail", "/pca")
