"""Rows of the message table, in eight groups; :mod:`gansynth_server.handlers` has the same."""
