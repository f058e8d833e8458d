"""Outputs: each owns a clock and pulls sound from a source.

``output`` says what a source and an output are, ``open`` makes one by its name;
``soundcard`` (with ``devices``, ``playback`` and ``ring``), ``file`` and
``paced`` are the outputs. sounddevice and soundfile are only imported once an
output needs them.
"""
