"""Scores: messages with times, rendered as the live server would have played them."""
