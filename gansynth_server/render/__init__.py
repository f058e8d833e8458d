"""Rendering: (latent, pitch) → spectra."""
