"""The sound cards that PortAudio finds."""

from __future__ import annotations

import atexit
import contextlib
import difflib
from dataclasses import dataclass
from typing import Any

from gansynth_server.errors import UserError

JACK = "JACK Audio Connection Kit"


@dataclass(frozen=True)
class Device:
    """A device that can play."""

    index: int
    name: str
    """The device's own name, a comma and the sound system ("host API") that offers it."""
    channels: int
    rate: int
    latency: float
    """Latency (s) that the device reports; some report nonsense."""
    default: bool


def portaudio() -> Any:
    """Import the sounddevice module; UserError says how to get it."""
    try:
        import sounddevice
    except ImportError as error:
        raise UserError(
            "sound cards need the Python package sounddevice: pip install sounddevice, "
            "or use --output none"
        ) from error
    except OSError as error:
        raise UserError(
            "the PortAudio library is missing: install it (Debian, Ubuntu: "
            "apt install libportaudio2), or use --output none"
        ) from error
    return sounddevice


def rescan() -> None:
    """Make PortAudio look for devices again, which ends every stream of this process.

    As a client of JACK it is left alone: were that server gone, ``Pa_Terminate``
    would hang or abort the process.
    """
    sd = portaudio()
    with contextlib.suppress(sd.PortAudioError):  # not initialised: an earlier attempt failed
        if any(api["name"] == JACK and api["devices"] for api in sd.query_hostapis()):
            return
        sd._terminate()
    sd._initialize()


def abandon() -> None:
    """Skip PortAudio's exit handler, which would hang on a JACK server that is gone."""
    atexit.unregister(portaudio()._exit_handler)


def output_devices() -> list[Device]:
    """List the devices that can play, in PortAudio's order."""
    sd = portaudio()
    try:
        default = sd.query_devices(kind="output")["index"]
    except (sd.PortAudioError, ValueError):  # there is none
        default = -1
    return [
        Device(
            index=info["index"],
            name=f"{info['name']}, {sd.query_hostapis(info['hostapi'])['name']}",
            channels=info["max_output_channels"],
            rate=int(info["default_samplerate"]),
            latency=info["default_low_output_latency"],
            default=info["index"] == default,
        )
        for info in sd.query_devices()
        if info["max_output_channels"] > 0
    ]


def find_device(wanted: str | None) -> Device:
    """Return the default device (None), or the one with this index or name.

    Letter case is ignored; a whole name wins over a part of one, and the first
    of several in PortAudio's order is taken.
    """
    devices = output_devices()
    if not devices:
        raise UserError(
            "no sound card was found: check that it is plugged in and what --list-devices says, "
            "or use --output none"
        )
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    key = wanted.strip().lower()
    names = {device.name.lower(): device for device in reversed(devices)}
    if key.isdigit():
        fits = [device for device in devices if device.index == int(key)]
    elif key in names:
        fits = [names[key]]
    else:
        fits = [device for device in devices if key in device.name.lower()]
    if fits:
        return fits[0]
    close = difflib.get_close_matches(key, names, n=3, cutoff=0.3) or list(names)[-3:]
    suggestions = " or ".join(f"'{names[name].name}'" for name in close)
    raise UserError(
        f"no sound card is called '{wanted}': did you mean {suggestions}? "
        "--list-devices shows them all"
    )


def list_devices() -> str:
    """Return a table of the devices that can play, the default marked, or why there is none."""
    try:
        devices = output_devices()
    except UserError as error:
        return str(error)
    if not devices:
        return "no sound card was found"
    rows = [
        f"{'*' if device.default else ' '} {device.index:>3}  {device.channels:>3} channels  "
        f"{device.rate:>6} Hz  {device.name}"
        for device in devices
    ]
    return "\n".join(rows)
