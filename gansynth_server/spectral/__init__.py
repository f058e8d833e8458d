"""A note as a spectrum: mel scale, wave ↔ (log magnitude, instantaneous frequency), inverse."""
