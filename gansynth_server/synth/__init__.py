"""Voices, envelopes, mixing: (events, spectra) → samples, with no thread or clock of its own."""
