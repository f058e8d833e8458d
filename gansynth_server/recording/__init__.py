"""Recordings: the sound of a bus, and the score that makes it again."""
