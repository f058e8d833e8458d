"""Timbre: latents, and ways through their space."""
