"""Making a map of the timbres of a checkpoint, and discoveries on it."""
