"""Outputs: each owns a clock and pulls sound from a source.

``output`` says what a source and an output are and opens one by its name;
``soundcard`` (with ``devices``, ``playback`` and ``ring``), ``file`` and
``null`` are the outputs, the last two paced by ``clock``. sounddevice and
soundfile are only imported once an output needs them.
"""

from gansynth_server.audio.devices import list_devices
from gansynth_server.audio.output import Output, Source, open_output

__all__ = ["Output", "Source", "list_devices", "open_output"]
