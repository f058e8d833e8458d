"""Mutated traffic against a running server."""
