"""Where notes to train on come from: a module for each, which fills a Writer."""

from __future__ import annotations

PITCHES = range(24, 85)
"""The generator's 61 pitches."""
