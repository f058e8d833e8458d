"""Tools for any room: thread priorities, a fair queue, a sandboxed folder, JSON that yields to
the sound, progress bars, General MIDI, MIDI pitch, optional packages."""
