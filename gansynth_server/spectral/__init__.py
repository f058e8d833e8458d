"""Spectra of notes: mel scale, wave ↔ (log magnitude, instantaneous frequency), inverse STFT."""
