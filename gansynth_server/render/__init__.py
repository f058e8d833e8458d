"""(latent, pitch) → spectra."""
