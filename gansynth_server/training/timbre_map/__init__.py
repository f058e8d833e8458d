"""Making the timbre map of a checkpoint, and choosing discoveries (unusual latents) on it."""
