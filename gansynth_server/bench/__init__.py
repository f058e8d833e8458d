"""Measurements of speed and memory on this machine, for ``gansynth bench``."""
