"""Framing of all GANSynth notes: sample rate, FFT, hop, padding (Engel et al. 2019, appendix)."""

SAMPLE_RATE = 16000
SAMPLES = 64000
FRAMES = 128
BINS = 1024
FFT = 2048
HOP = 512
LEAD = HOP * (FRAMES - 1) + FFT - SAMPLES
"""Zeros (3072 samples) before the note: all padding is on the left, so frames 0…2 are silent."""
SILENCE = 1e-6
"""Magnitude or power that is added before a logarithm."""
