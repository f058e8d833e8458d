"""Notes made without a network: steady partials."""

import numpy as np

from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.note import Note


def spectrum(level=0.01, increment=0.5):
    magnitude = np.zeros((FRAMES, BINS), np.float32)
    magnitude[:, 20:60:7] = level * 1024
    turns = np.full((FRAMES, BINS), increment, np.float32) + np.arange(BINS, dtype=np.float32)
    return Spectrum(magnitude, turns)


def note(spectrum_, id=0, **attributes):
    made = Note(1, id, 60, 127, 60, **attributes)
    made.spectrum = spectrum_
    return made
