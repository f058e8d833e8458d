"""Outputs: each owns a clock and wants sound, block by block, from the thread that uses it.

``output`` says what an output is, ``open`` makes one by its name; ``soundcard``
(with ``devices``, ``playback`` and ``ring``) and ``paced`` are the outputs.
``shared_ring`` takes sound to another process. sounddevice and soundfile are
only imported once they are needed.
"""
