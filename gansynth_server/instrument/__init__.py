"""Clients, latents and notes; knows neither OSC nor samples."""
