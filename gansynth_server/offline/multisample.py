"""A timbre as a multisample: sound files with loop points, and an SFZ file that maps them to keys.

The format is that of https://sfzformat.com, in opcodes of its first version, which every sampler
reads; levels and releases are those of the server's voices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio import sound_file
from gansynth_server.errors import UserError
from gansynth_server.render.model import Model
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.spectral.steady import find_region
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.envelope import ATTACK, RELEASE
from gansynth_server.synth.note import Note
from gansynth_server.synth.playhead import seconds

Float32 = NDArray[np.float32]

SECONDS = 4.0
"""Length (s) of a whole note."""
SAMPLES_FOLDER = "samples"
PEAK = 10 ** (-1 / 20)
"""Peak of the loudest sample: -1 dBFS; the others keep their levels relative to it."""
MATCH_S = 0.04
"""Length (s) of the sound that is compared where a loop is to begin and to end."""
SEARCH_S = 0.25
"""Time (s) from the end of the steady part in which a loop may end."""
FADE_S = 0.03
"""Length (s) of the cross-fade into the loop's beginning."""
FALL_DB = 6.0
"""Fall of the level over the steady part from which a note is one that dies away: no loop."""


@dataclass(frozen=True)
class Sample:
    """The sound of one key, [frames], and its loop: first and last frame, None for no loop."""

    pitch: int
    sound: Float32
    loop: tuple[int, int] | None


def pitches(model: Model, step: int) -> tuple[int, ...]:
    """Return the pitches to sample, a step (semitones) apart, the highest among them."""
    if not 1 <= step <= 24:
        raise UserError(f"--step is 1 to 24 semitones, not {step}")
    return tuple(sorted({*model.pitches[::step], model.pitches[-1]}))


def sample(model: Model, z: Float32, pitch: int, rate: int) -> Sample:
    """Render a key of the model's pitches, as the server plays it with full velocity."""
    label = model.checkpoint.config.label(pitch)
    (spectrum,) = model.backend.render(np.asarray(z, np.float32)[None], np.array([label]))
    find_region(spectrum)
    note = Note(0, 0, pitch, 127, pitch)
    note.spectrum = spectrum
    bus = Bus(rate, 1, gain=1.0)
    bus.start(note)
    late = round(bus.delay * rate)
    sound = np.ascontiguousarray(bus.render(round(SECONDS * rate) + late)[0, late:])
    assert spectrum.region is not None
    begin, end = (max(0.0, seconds(frame)) for frame in spectrum.region)
    return looped(pitch, sound, rate, begin, end)


def looped(pitch: int, sound: Float32, rate: int, begin: float, end: float) -> Sample:
    """Return a sound with a loop in its steady part, the seam of which is cross-faded.

    Args:
        begin, end: of the steady part (s).
    """
    first, last = round(begin * rate), min(round(end * rate), len(sound) - 1)
    width, fade = round(MATCH_S * rate), round(FADE_S * rate)
    search = min(round(SEARCH_S * rate), (last - first) // 2)
    if first < width or last - first < 4 * width or _falls(sound[first:last]):
        return Sample(pitch, sound, None)
    # the end at which the sound is most like that before the beginning
    wanted = sound[first - width : first].astype(np.float64)
    around = sound[last - search - width : last].astype(np.float64)
    product = np.correlate(around, wanted, "valid")
    squares = np.concatenate([[0.0], np.cumsum(around**2)])
    energy = squares[width:] - squares[:-width]
    likeness = product / np.sqrt(np.maximum(energy * (wanted**2).sum(), 1e-20))
    stop = last - search + int(likeness.argmax())
    alike = max(0.0, float(likeness.max()))
    rising = np.linspace(0, 1, fade, endpoint=False)
    # for what is alike amplitudes add up, for what is not powers do
    gains = (1 - rising) ** (0.5 + alike / 2), rising ** (0.5 + alike / 2)
    found = sound.copy()
    found[stop - fade : stop] = (
        gains[0] * sound[stop - fade : stop] + gains[1] * sound[first - fade : first]
    )
    return Sample(pitch, found, (first, stop - 1))


def _falls(sound: Float32) -> bool:
    """Return whether a sound dies away."""
    half = len(sound) // 2
    levels = [float(np.sqrt(np.mean(np.square(part)))) for part in (sound[:half], sound[half:])]
    return 20 * np.log10((levels[1] + 1e-9) / (levels[0] + 1e-9)) < -FALL_DB


def write(
    folder: Path,
    name: str,
    model: Model,
    z: Float32,
    keys: Sequence[int],
    rate: int,
    on_sample: Callable[[], None] = lambda: None,
) -> Path:
    """Write a multisample into a folder, which is made; return the SFZ file.

    Args:
        keys: pitches of the model to sample.

    Raises:
        UserError: the rate is out of range, or the folder cannot be written.
    """
    check_rate(rate)
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or "timbre"
    samples = []
    for key in keys:
        samples.append(sample(model, z, key, rate))
        on_sample()
    gain = PEAK / (max(float(np.abs(one.sound).max()) for one in samples) or PEAK)
    try:
        (folder / SAMPLES_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror or error}") from error
    files = {one.pitch: f"{plain}_{one.pitch:03}.flac" for one in samples}
    for one in samples:
        path = folder / SAMPLES_FOLDER / files[one.pitch]
        sound_file.save(path, np.float32(gain) * one.sound[None], rate)
    path = folder / f"{plain}.sfz"
    try:
        path.write_text(sfz(name, model, samples, files), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def sfz(name: str, model: Model, samples: Sequence[Sample], files: dict[int, str]) -> str:
    """Return the text of an SFZ file; keys between two samples play the nearer one."""
    edges = [-1, *((a.pitch + b.pitch) // 2 for a, b in pairwise(samples))]
    lines = [
        f"// {_comment(name)}, of the checkpoint {_comment(model.checkpoint.name)} of GANSynth",
        "<control>",
        f"default_path={SAMPLES_FOLDER}/",
        "<global>",
        # loudness is linear in the velocity here, where SFZ's own curve is its square
        "amp_veltrack=100",
        f"amp_velcurve_1={1 / 127:.6f}",
        "amp_velcurve_127=1",
        f"ampeg_attack={ATTACK:g}",
        f"ampeg_release={RELEASE:g}",
        "bend_up=200",
        "bend_down=-200",
        "<group>",
    ]
    for one, low, high in zip(samples, edges, [*edges[1:], 127], strict=True):
        loop = "loop_mode=no_loop"
        if one.loop is not None:
            loop = f"loop_mode=loop_continuous loop_start={one.loop[0]} loop_end={one.loop[1]}"
        lines.append(
            f"<region> sample={files[one.pitch]} lokey={low + 1} hikey={high} "
            f"pitch_keycenter={one.pitch} {loop}"
        )
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """Return a text as one line of a comment."""
    return " ".join(text.split())
