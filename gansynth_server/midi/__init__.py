"""MIDI files: read, rendered through the voices, or mixed as Magenta does."""
