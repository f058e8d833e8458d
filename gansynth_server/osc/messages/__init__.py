"""Rows of the message table, in ten groups; :mod:`gansynth_server.handlers` has the same."""
