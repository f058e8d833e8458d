"""What the bench measures of networks and of mixing, without a server."""

import pytest
import torch

from gansynth_server.bench import mixing, network, networks
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.render.backends.base import HEAD, WHOLE
from gansynth_server.render.folded import Weights, Window
from tests.support import golden_rule

CPU = torch.device("cpu")


def test_full_size_net_is_the_golden_one():
    ours, theirs = (
        networks.full_size().state_dict(),
        golden_rule.generator(golden_rule.FULL).state_dict(),
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_operations_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    net = checkpoint.load("all_instruments").generator
    z, labels = torch.zeros(1, 256), torch.zeros(1, dtype=torch.int64)
    for window in (HEAD, WHOLE, (60, 70)):
        with FlopCounterMode(display=False) as counter:
            Window(Weights(net, torch.float32), window)(z, labels)
        counted = networks.operations(net.config, window)
        assert counted == pytest.approx(counter.get_total_flops(), rel=0.15)  # edges are trimmed
    full = networks.operations(GeneratorConfig(), WHOLE)
    assert 17e9 < full < 19e9
    assert networks.operations(GeneratorConfig(), HEAD) < full / 4


def test_audibility_of_nothing_is_nothing():
    net = checkpoint.load("all_instruments_lite").generator  # has convolutions, which round
    same = network.audibility(net, CPU, "float32")
    assert same["log-spectral distance dB"] == same["pitch error cents, largest"] == 0
    half = network.audibility(net, CPU, "bfloat16")
    assert 0 < half["log-spectral distance dB"] < 6
    assert 0 <= half["pitch error cents, median"] < 5


def test_mixing(monkeypatch):
    monkeypatch.setattr(mixing, "VOICES", (1, 4))
    rows = mixing.measure(seconds=0.1)
    assert [row["voices"] for row in rows] == [1, 4]
    assert all(row["share of a core %"] > 0 for row in rows)
