"""The search for the latent of a note."""

import time

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.analysis import inversion
from gansynth_server.analysis.latent_regression import RIDGES, regress_latents
from gansynth_server.analysis.recorded_note import read
from gansynth_server.analysis.spectral_distance import Target
from gansynth_server.latent.vectors import draw, draws
from tests.support.paths import GOLDEN
from tests.support.sounds import file_of, harmonic_tone

PITCHES = tuple(range(24, 85))


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


@pytest.fixture(scope="module")
def lite():
    """A network of a third of the work for each step of a search."""
    return gs.load("all_instruments_lite")


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


def rendered(model, z, pitch=60):
    return torch.from_numpy(model.generate_batch(z[None], [pitch]))


def test_regression_guesses_the_latent_of_a_linear_generator():
    chance = torch.Generator().manual_seed(0)
    z = torch.randn(40, 8, generator=chance)
    mixing = torch.randn(8, 500, generator=chance)
    wanted = torch.randn(8, generator=chance)
    found = regress_latents(z @ mixing - 30, z, wanted @ mixing - 30)
    away = (found - wanted).norm(dim=1) / wanted.norm()
    assert found.shape == (len(RIDGES), 8) and found.dtype == torch.float32
    assert away[0] < 0.1 and away[0] < away[1] < away[2] < 1


def test_regression_starts_nearer_to_a_note_of_its_own(model):
    latents = draws(model.latent_size, range(65))
    waves = torch.from_numpy(model.generate_batch(latents, [55] * 65))
    target = Target(waves[64])
    outlines = torch.cat([target.look(part)[1] for part in torch.split(waves[:64], 16)])
    guessed = regress_latents(outlines, torch.from_numpy(latents[:64]), target.outline)
    ours = torch.from_numpy(model.generate_batch(guessed.numpy(), [55] * len(guessed)))
    looked = target.distance(waves[:64])
    assert target.distance(ours).min() < looked.quantile(0.1)


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


def test_the_same_seed_looks_at_the_same_latents(model):
    wave = read(file_of(harmonic_tone(60)), "a.wav", PITCHES, 60).wave
    first, again = (
        inversion.invert(model.checkpoint.generator, wave, 60, model.presets, 0.0, 7)
        for _ in range(2)
    )
    assert first.start == again.start and np.array_equal(first.z, again.z)
    assert first.distance == again.distance == pytest.approx(first.before, abs=0.1)
