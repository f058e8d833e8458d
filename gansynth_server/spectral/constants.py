"""The one framing that every GANSynth note has (Engel et al. 2019, appendix)."""

SAMPLE_RATE = 16000
SAMPLES = 64000
FRAMES = 128
BINS = 1024
FFT = 2048
HOP = 512
LEAD = HOP * (FRAMES - 1) + FFT - SAMPLES
"""3072 zeros before the note: all the padding is on the left, so frames 0…2 are silent."""
SILENCE = 1e-6
