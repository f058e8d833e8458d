"""Live MIDI: input ports, channels and MPE zones, mapping of controllers, and the player."""
