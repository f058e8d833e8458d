"""Notes of DSSI synthesisers in NSynth's form: 3 s held, 1 s of release."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis import file_names
from gansynth_server.analysis.segmentation import PEAK, SILENT
from gansynth_server.errors import UserError
from gansynth_server.training.dataset import Dataset, Note, Writer, split_of
from gansynth_server.training.sources import PITCHES, dssi_host, selection, tuning
from gansynth_server.training.sources.dssi_host import CrashError, Played, Program
from gansynth_server.util.files import sha256
from gansynth_server.util.progress import track

CHUNK = 8
"""Programs of one process."""
FAMILY = "synth"
"""Of programs whose names say no other."""
FAMILIES = {
    "bass": r"bass",
    "organ": r"organ|orgn|hammond|leslie",
    "brass": r"bra[sz]+|horn|trumpet|trpt|tromb|tuba",
    "strings": r"string|violin|viola|cello|pizz",
    "guitar": r"guitar|gtr",
    "piano": r"piano|clav|harpsi|rhodes|\bep\b",
    "pipe": r"flute|pipe|whistle|ocarina|recorder",
    "reed": r"\bsax|oboe|clarinet|bassoon|accord|harmonica",
    "ensemble": r"vox|voic|choir|vocal|ahh|ooh",
    "chromatic_percussion": r"bell|vibe|marimba|xylo|celest|glock|chime",
    "synth_lead": r"\blead\b",
    "synth_pad": r"\bpad\b|sweep",
}
"""Kind of instrument → words of a program's name; the first that fits."""
UNSTABLE, SILENCE = "not finite", "silent"
UNPITCHED = "no steady pitch within two octaves"
CRASHED = "the plugin crashed"


@dataclass(frozen=True)
class Instrument:
    """A program of a bank."""

    name: str
    program: Program
    patches: Path | None

    @property
    def family(self) -> str:
        """The kind of instrument that the program's name speaks of."""
        name = self.program.name
        found = (kind for kind, words in FAMILIES.items() if re.search(words, name, re.I))
        return next(found, FAMILY)


@dataclass(frozen=True)
class _Settings:
    plugin: Path
    pitches: tuple[int, ...]
    velocities: tuple[int, ...]
    share: float
    step: float


_Found = tuple[str, Note, NDArray[np.float32] | str]
"""Key, note, and its wave or why it is left out."""


def render(
    plugin: str,
    folder: Path,
    *,
    patches: Sequence[Path] = (),
    pitches: Sequence[int] = PITCHES,
    velocities: Sequence[int] = (100,),
    pitch_share: float = 1.0,
    velocity_step: float = 0.0,
    licence: str = "",
    processes: int = 1,
) -> Dataset:
    """Renders the programs of a synthesiser; goes on where it was interrupted.

    Programs that sound whole octaves off are played as much lower or higher,
    those without a steady pitch near the one asked for are left out.

    Args:
        plugin: path of the library, or its name in DSSI_PATH.
        folder: where the data goes; created.
        patches: bank files for the plugin; none: what it has built in.
        pitches: MIDI note numbers as they sound.
        velocities: MIDI velocities 1…127.
        pitch_share: see :func:`selection.some_pitches`.
        velocity_step: see :func:`selection.layers`; 0 takes all velocities.
        licence: of the patches; "" is what the bank files say in their first lines.
        processes: that render at a time.

    Returns:
        The opened data; every note has its peak at 0.5.

    Raises:
        UserError: there is no such plugin, it cannot read a bank, there are
            no notes, or the folder holds other data.
    """
    try:
        library = dssi_host.find(plugin)
    except FileNotFoundError as error:
        raise UserError(
            f"there is no DSSI plugin {plugin} here or in DSSI_PATH; on Debian: "
            "apt install whysynth"
        ) from error
    banks: Sequence[Path | None] = list(patches) or [None]
    plugin_about, instruments = _instruments(library, banks)
    about = {
        "kind": "dssi",
        "title": ", ".join([plugin_about["name"], *(path.stem for path in patches)]),
        "licence": licence or "\n".join(dict.fromkeys(map(_heading, patches))),
        "plugin": {"file": library.name, "sha256": sha256(library)} | plugin_about,
        "patches": [{"file": path.name, "sha256": sha256(path)} for path in patches],
        "settings": {
            "pitches": list(pitches),
            "velocities": list(velocities),
            "pitch_share": pitch_share,
            "velocity_step": velocity_step,
        },
    }
    settings = _Settings(library, tuple(pitches), tuple(velocities), pitch_share, velocity_step)
    with Writer(folder, about) as writer:
        waiting = [
            chunk
            for chunk in _chunks(instruments)
            if not all(key in writer for each in chunk for key in _keys(each, settings))
        ]
        for found in _in_order(waiting, settings, processes, library.stem):
            for key, note, wave in found:
                if key in writer:
                    continue
                if isinstance(wave, str):
                    writer.skip(key, wave)
                else:
                    writer.add(key, note, wave)
        return writer.finish()


def _instruments(
    library: Path, banks: Sequence[Path | None]
) -> tuple[dict[str, str], list[Instrument]]:
    """What the plugin says of itself, and the programs of all banks with names of their own."""
    for bank in banks:
        if bank is not None and not bank.is_file():
            raise UserError(f"there are no patches at {bank}")
    try:
        looked = dssi_host.apart(dssi_host.look, library, banks)
    except (OSError, CrashError) as error:
        files = " ".join(str(bank) for bank in banks if bank)
        where = f" with {files}" if files else ""
        raise UserError(f"{library.name} does not work{where}: {error}") from error
    found: list[Instrument] = []
    names: set[str] = set()
    for bank, (_, programs) in zip(banks, looked, strict=True):
        for program in programs:
            own = file_names.clean(program.name) or "unnamed"
            numbered = (f"{own}_{n}" for n in itertools.count(2))
            name = next(each for each in itertools.chain([own], numbered) if each not in names)
            names.add(name)
            found.append(Instrument(name, program, bank))
    return looked[0][0], found


def _heading(patches: Path) -> str:
    """The comment that a bank file begins with, up to an empty line of it."""
    with patches.open(encoding="utf-8", errors="replace") as file:
        said = itertools.takewhile(lambda line: line.startswith("#") and line.strip("# \n"), file)
        return " ".join(" ".join(said).replace("#", "").split())


def _chunks(instruments: Sequence[Instrument]) -> list[list[Instrument]]:
    """Some instruments of one bank at a time."""
    chunks: list[list[Instrument]] = []
    for each in instruments:
        if not chunks or len(chunks[-1]) == CHUNK or chunks[-1][0].patches != each.patches:
            chunks.append([])
        chunks[-1].append(each)
    return chunks


def _keys(instrument: Instrument, settings: _Settings) -> dict[str, tuple[int, int]]:
    """Unique name of each note that may be rendered → its pitch and velocity."""
    pitches = selection.some_pitches(instrument.name, settings.pitches, settings.share)
    return {
        f"{instrument.name}/{pitch}/{velocity}": (pitch, velocity)
        for pitch in pitches
        for velocity in settings.velocities
    }


def _in_order(
    chunks: Sequence[Sequence[Instrument]], settings: _Settings, processes: int, what: str
) -> Iterator[list[_Found]]:
    """What was rendered, chunk by chunk, a few of them ahead."""
    with ThreadPoolExecutor(processes) as pool:
        ahead: deque[Future[list[_Found]]] = deque()
        rest = iter(chunks)
        for _ in track(chunks, what):
            for chunk in rest:
                ahead.append(pool.submit(_rendered, chunk, settings))
                if len(ahead) > processes:
                    break
            yield ahead.popleft().result()


def _rendered(chunk: Sequence[Instrument], settings: _Settings) -> list[_Found]:
    """Looks at each instrument's probes, then plays the notes that are wanted."""
    usual, *others = selection.by_nearness(settings.velocities)
    asked = [(pitch, usual) for pitch in selection.PROBES]
    if settings.step:
        asked += [(selection.PROBE, velocity) for velocity in others]
    probes = [(each, pitch, velocity) for each in chunk for pitch, velocity in asked]
    heard = _play(probes, settings)
    wanted: list[tuple[Instrument, int, int]] = []
    reasons: dict[str, str] = {}
    keys: dict[str, tuple[Instrument, int, int]] = {}
    for each in chunk:
        mine = {
            (pitch, velocity): wave
            for (other, pitch, velocity), wave in zip(probes, heard, strict=True)
            if other is each
        }
        octave, layers = _judged(mine, usual, settings)
        for key, (pitch, velocity) in _keys(each, settings).items():
            keys[key] = each, pitch, velocity
            if isinstance(octave, str):
                reasons[key] = octave
            elif velocity not in layers:
                reasons[key] = selection.SAME_VELOCITY
            elif not 0 <= pitch - octave <= 127:
                reasons[key] = UNPITCHED
            else:
                wanted.append((each, pitch - octave, velocity))
    played = iter(_play(wanted, settings))
    found: list[_Found] = []
    for key, (each, pitch, velocity) in keys.items():
        split = split_of(each.name, pitch)
        note = Note(each.name, pitch, velocity, split, each.family, "synthetic")
        found.append((key, note, reasons[key] if key in reasons else next(played)))
    return found


def _judged(
    waves: dict[tuple[int, int], NDArray[np.float32] | str],
    velocity: int,
    settings: _Settings,
) -> tuple[int | str, Sequence[int]]:
    """Octave of an instrument, or why it is left out, and the velocities that differ."""
    sounding = {key: wave for key, wave in waves.items() if not isinstance(wave, str)}
    usual = {pitch: wave for (pitch, v), wave in sounding.items() if v == velocity}
    if not usual:
        return next(wave for wave in waves.values() if isinstance(wave, str)), ()
    octave = tuning.octave_of(usual)
    if octave is None:
        return UNPITCHED, ()
    probe = {v: wave for (pitch, v), wave in sounding.items() if pitch == selection.PROBE}
    return octave, selection.layers(probe, settings.velocities, settings.step)


def _play(
    notes: Sequence[tuple[Instrument, int, int]], settings: _Settings
) -> list[NDArray[np.float32] | str]:
    """Notes of one bank with their peaks at 0.5, or why there is none."""
    if not notes:
        return []
    played = [Played(each.program, pitch, velocity) for each, pitch, velocity in notes]
    try:
        waves = dssi_host.apart(dssi_host.play, settings.plugin, notes[0][0].patches, played)
    except (CrashError, OSError):
        if notes[0][0] is notes[-1][0]:
            return [CRASHED] * len(notes)
        # one program's fault: the others get processes of their own
        groups = itertools.groupby(notes, key=lambda note: note[0].name)
        return [wave for _, group in groups for wave in _play(list(group), settings)]
    return [_levelled(wave) for wave in waves]


def _levelled(wave: NDArray[np.float32]) -> NDArray[np.float32] | str:
    if not np.isfinite(wave).all():
        return UNSTABLE
    wave = wave - wave.mean()
    peak = float(np.abs(wave).max())
    return SILENCE if peak < SILENT else wave * np.float32(PEAK / peak)
