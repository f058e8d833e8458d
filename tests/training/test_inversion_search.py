"""Searches for the latent of a recorded note to their end: too long for the quick tests."""

import time

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.analysis import inversion
from gansynth_server.analysis.recorded_note import read
from gansynth_server.analysis.spectral_distance import Target
from gansynth_server.latent.vectors import draw
from tests.support.paths import GOLDEN

PITCHES = tuple(range(24, 85))


@pytest.fixture(scope="module")
def lite():
    """A network of a third of the work for each step of a search."""
    return gs.load("all_instruments_lite")


def rendered(model, z, pitch=60):
    return torch.from_numpy(model.generate_batch(z[None], [pitch]))


class Ticks:
    """A clock that goes on whenever it is looked at: the search is as long on every machine."""

    now = 0.0
    perf_counter = staticmethod(time.perf_counter)

    def monotonic(self):
        self.now += 0.1
        return self.now


@pytest.fixture
def ticks(monkeypatch):
    monkeypatch.setattr(inversion, "time", Ticks())


def test_a_note_of_its_own_is_found_again(lite, ticks):
    wanted = draw(lite.latent_size, 12345)
    wave = lite.generate_batch(wanted[None], [60])[0]
    told = []

    def tell(share, least):
        told.append((share, least))

    generator = lite.checkpoint.generator
    moved = [p.requires_grad for p in generator.parameters()]
    found = inversion.invert(generator, wave, 60, lite.presets, 18.0, 0, tell)
    latents, target = np.stack(list(lite.presets.values())), Target(torch.from_numpy(wave))
    presets = torch.from_numpy(lite.generate_batch(latents, [60] * len(latents)))
    nearest = min(target.distance(part).min().item() for part in presets.split(16))
    print(f"nearest preset {nearest:.2f} dB, start {found.before:.2f}, {found.distance:.2f} dB")
    print(f"{found.steps} steps")
    assert found.distance < found.before
    assert found.steps > 150
    assert found.distance < 0.45 * nearest
    assert 0.3 < np.sqrt((found.z**2).mean()) < 1.5
    shares, least = zip(*told, strict=True)
    assert list(shares) == sorted(shares) and shares[-1] > 0.9
    assert min(least) == pytest.approx(found.distance, abs=0.1)  # on the way it is coarser
    assert all(p.grad is None for p in generator.parameters())
    assert [p.requires_grad for p in generator.parameters()] == moved
    ours = lite.generate_batch(found.z[None], [60])[0]
    heard = target.distance(torch.from_numpy(ours)[None]).item()
    assert heard == pytest.approx(found.distance, abs=0.1)


def test_a_note_of_nsynth_is_found_nearer_than_any_preset(lite, ticks):
    """A real note, from NSynth (Engel et al. 2017, CC-BY 4.0)."""
    recorded = read((GOLDEN / "nsynth_note.flac").read_bytes(), "nsynth_note.flac", PITCHES)
    assert recorded.pitch == 32 and recorded.heard
    found = inversion.invert(lite.checkpoint.generator, recorded.wave, 32, lite.presets, 6.0)
    print(f"{found.start}: {found.before:.2f} dB → {found.distance:.2f} dB in {found.steps} steps")
    target = Target(torch.from_numpy(recorded.wave))
    assert found.distance < min(
        target.distance(rendered(lite, z, 32)).item() for z in lite.presets.values()
    )
