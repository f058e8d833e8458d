"""One bank for all listeners: what each hears is what a bank of its own would give it."""

import numpy as np
import pytest

from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bank import Bank
from gansynth_server.synth.bus import Bus, bank_rate, render_together
from gansynth_server.synth.note import Note

BLOCK = 512
RANDOM = np.random.default_rng(5)
SPECTRA = [
    Spectrum(
        np.exp(RANDOM.normal(-2, 1.5, (FRAMES, BINS))).astype(np.float32),
        RANDOM.uniform(-3, 3, (FRAMES, BINS)).astype(np.float32),
    )
    for _ in range(4)
]


def listeners(shared, rates, channels=(1, 2)):
    """Buses of several rates and numbers of channels, with notes for times to come."""
    banks = {bank_rate(rate): Bank(bank_rate(rate), 64) for rate in rates}
    buses = []
    for number, rate in enumerate(rates):
        bank = banks[bank_rate(rate)] if shared else None
        bus = Bus(rate, 4, channels=channels[number % len(channels)], bank=bank)
        random = np.random.default_rng(number)
        for n in range(12):  # more than there are voices
            note = Note(number, n, 60 + random.integers(-3, 4) * (n % 3), 90, 60, on=n / 20)
            note.spectrum = SPECTRA[n % 4]
            note.hold, note.pan, note.bend = bool(n % 2), random.uniform(-1, 1), 0.5 * (n % 4 == 0)
            bus.start(note, note.on)
            bus.release(note, note.on + random.uniform(0.05, 0.3))
            if n % 3 == 0:
                changed = note
                bus.post(
                    lambda voices, note=changed: voices.change(note, 0.1, bend=2.0),
                    note.on + 0.04,
                    note,
                )
        buses.append(bus)
    return buses


@pytest.mark.parametrize(
    "rates", [[48000] * 5, [48000, 44100, 48000, 44100], [16000, 48000, 16000]]
)
def test_one_bank_gives_what_a_bank_each_gives(rates):
    alone, together = listeners(False, rates), listeners(True, rates)
    heard = [[] for _ in rates]
    for _ in range(100):
        sounds = render_together([(bus, BLOCK) for bus in together])
        for found, sound in zip(heard, sounds, strict=True):
            found.append(sound)
    for bus, found in zip(alone, heard, strict=True):
        expected = np.concatenate([bus.render(BLOCK) for _ in range(100)], axis=1)
        assert np.abs(expected).max() > 0.01
        assert np.abs(np.concatenate(found, axis=1) - expected).max() <= 1e-5


def test_whoever_wants_blocks_of_another_size_has_them_too():
    sizes = [64, 512, 1000, 512]
    alone, together = listeners(False, [48000] * 4), listeners(True, [48000] * 4)
    for _ in range(40):
        due = list(zip(together, sizes, strict=True))
        for bus, size, sound in zip(alone, sizes, render_together(due), strict=True):
            assert np.abs(sound - bus.render(size)).max() <= 1e-5


def test_a_full_bank_makes_a_note_wait_for_a_row():
    bank = Bank(48000, 2)
    first, second = Bus(48000, 2, bank=bank), Bus(48000, 2, bank=bank)
    for n in range(2):
        note = Note(0, n, 60, 90, 60, spectrum=SPECTRA[n])
        note.off = 0.05
        first.start(note)
    first.render(BLOCK)
    late = Note(0, 2, 60, 90, 60, spectrum=SPECTRA[2])
    second.start(late)
    second.render(BLOCK)
    assert (first.voices.sounding, second.voices.sounding, len(second.voices.waiting)) == (2, 0, 1)
    while first.voices.sounding:
        first.render(BLOCK)
    second.render(BLOCK)
    assert second.voices.notes == [late]


def test_what_breaks_in_one_ends_nobody_else():
    bank = Bank(48000, 8)
    buses = [Bus(48000, 4, gain=1.0, bank=bank) for _ in range(3)]
    broken = Spectrum(np.full((FRAMES, BINS), np.nan, np.float32), SPECTRA[0].increment)
    for n, bus in enumerate(buses):
        bus.start(Note(0, n, 60, 90, 60, spectrum=broken if n == 1 else SPECTRA[0]))
    sounds = render_together([(bus, 4 * BLOCK) for bus in buses])
    assert [bus.voices.non_finite for bus in buses] == [0, 1, 0]
    assert all(np.isfinite(sound).all() for sound in sounds)
    assert np.array_equal(sounds[0], sounds[2]) and np.abs(sounds[0]).max() > 1e-3
    assert not sounds[1].any()
