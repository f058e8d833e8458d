"""Latents: drawing, interpolation, slots and paths, presets, principal directions, timbre map,
files."""
