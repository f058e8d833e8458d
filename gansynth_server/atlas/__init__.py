"""What the latents of a checkpoint sound like: measures, a map, and directions with names."""
