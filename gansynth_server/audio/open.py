"""Opening the output that ``--output`` names."""

from __future__ import annotations

from pathlib import Path

from gansynth_server.audio.output import DEFAULT_BLOCKSIZE, Output
from gansynth_server.audio.sound_file import FORMATS
from gansynth_server.errors import UserError

UNHEARD_BLOCKSIZE = 1024
"""Least frames at a time where no listener waits for them, which costs less."""
DEFAULT_RATE = 48000
"""Sample rate (Hz) of the outputs without a device of their own."""


def open_output(
    choice: str,
    *,
    rate: int | None = None,
    blocksize: int | None = None,
    device: str | None = None,
    channels: int | None = None,
) -> tuple[Output, str | None]:
    """Make the output that ``--output`` names; it is not started.

    Args:
        choice: ``auto``, ``soundcard``, ``none`` or the path of a .wav, .flac or .ogg file,
            which gives a clock of that name: what it is given, a recorder writes.
        rate: samples per second; None takes the sound card's own, or 48000.
        blocksize: frames that are rendered at a time; None takes 256. ``none`` takes
            1024 at least, for no listener waits for them.
        device: part of the name of a sound card, or its index. With it, ``auto``
            means ``soundcard``: a card asked for by name is never replaced by silence.
        channels: 1, or 2 for stereo where the card has it; None takes 1 for a file, else 2.

    Returns:
        The output, and a line for the user where ``auto`` had to do without a sound card.

    Raises:
        UserError: it cannot be had; says what to do.
    """
    if rate is not None and not 4000 <= rate <= 384000:
        raise UserError(f"a rate of {rate} Hz is out of range: give 4000 to 384000")
    blocksize = DEFAULT_BLOCKSIZE if blocksize is None else blocksize
    if not 16 <= blocksize <= 8192:
        raise UserError(f"a block of {blocksize} frames is out of range: give 16 to 8192")
    if channels is None:
        channels = 2 if choice in ("auto", "soundcard", "none") else 1
    if channels not in (1, 2):
        raise UserError(f"--channels must be 1 (mono) or 2 (stereo), not {channels}")
    if choice == "auto" and device is None:
        try:
            return _open_soundcard(None, rate, blocksize, channels), None
        except UserError as error:
            remark = f"serving Pd streams only, because {error}"
            return _open_none(rate, blocksize, channels), remark
    if choice in ("auto", "soundcard"):
        return _open_soundcard(device, rate, blocksize, channels), None
    if choice == "none":
        return _open_none(rate, blocksize, channels), None
    return _open_file(choice, rate, blocksize, channels), None


def _open_soundcard(device: str | None, rate: int | None, blocksize: int, channels: int) -> Output:
    from gansynth_server.audio.soundcard import SoundCard

    return SoundCard(device, rate=rate, blocksize=blocksize, channels=channels)


def _open_none(rate: int | None, blocksize: int, channels: int) -> Output:
    from gansynth_server.audio.paced import NullOutput

    blocksize = max(blocksize, UNHEARD_BLOCKSIZE)
    return NullOutput(rate=rate or DEFAULT_RATE, blocksize=blocksize, channels=channels)


def _open_file(choice: str, rate: int | None, blocksize: int, channels: int) -> Output:
    from gansynth_server.audio.paced import NullOutput

    if Path(choice).suffix.lower() not in FORMATS:
        raise UserError(
            f"the output '{choice}' is unknown: give auto, soundcard, none "
            f"or a file that ends in {', '.join(FORMATS)}"
        )
    return NullOutput(choice, rate=rate or DEFAULT_RATE, blocksize=blocksize, channels=channels)
