"""A host of DSSI synthesisers (LADSPA with notes and programs), by ctypes.

The layouts are those of ladspa.h 1.1 and dssi.h 1.0. A plugin's faults are its process's, so
:func:`apart` runs it in one of its own.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_float, c_int, c_ubyte, c_uint, c_ulong, c_void_p
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis.segmentation import resample
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES

T = TypeVar("T")

FOLDERS = "~/.dssi:/usr/local/lib/dssi:/usr/lib/dssi"
"""Where plugins are looked for if DSSI_PATH is not set, as dssi.h says."""
RATE = 48000
"""Sample rate (Hz) of the plugins; at 16 kHz their oscillators would alias."""
BLOCK = 960
"""Samples a plugin renders at a time: 20 ms, and whole control periods of 64."""
HELD_S = 3
TIMEOUT_S = 120.0
"""Seconds without a note after which a plugin is given up."""
OUTPUT, CONTROL, AUDIO = 2, 4, 8
BOUNDED_BELOW, SCALED, LOGARITHMIC, DEFAULTS = 0x1, 0x8, 0x10, 0x3C0
BETWEEN = {0x40: 0.0, 0x80: 0.25, 0xC0: 0.5, 0x100: 0.75, 0x140: 1.0}
"""Hints of defaults within the range → where."""
FIXED = {0x200: 0.0, 0x240: 1.0, 0x280: 100.0, 0x2C0: 440.0}
NOTE_ON, NOTE_OFF = 6, 7
"""ALSA's numbers of sequencer events."""


class Event(ctypes.Structure):
    """ALSA's snd_seq_event_t with the data of a note, 28 bytes."""

    _fields_ = (
        ("type", c_ubyte),
        ("head", c_ubyte * 3),
        ("tick", c_uint),
        ("rest", c_uint),
        ("addresses", c_ubyte * 4),
        ("channel", c_ubyte),
        ("note", c_ubyte),
        ("velocity", c_ubyte),
        ("off_velocity", c_ubyte),
        ("duration", c_uint),
        ("padding", c_uint),
    )


class Hint(ctypes.Structure):
    """LADSPA_PortRangeHint."""

    _fields_ = (("hint", c_int), ("lower", c_float), ("upper", c_float))


Handle = c_void_p


class Ladspa(ctypes.Structure):
    """LADSPA_Descriptor."""

    _fields_ = (
        ("unique_id", c_ulong),
        ("label", c_char_p),
        ("properties", c_int),
        ("name", c_char_p),
        ("maker", c_char_p),
        ("copyright", c_char_p),
        ("port_count", c_ulong),
        ("port_descriptors", POINTER(c_int)),
        ("port_names", POINTER(c_char_p)),
        ("port_hints", POINTER(Hint)),
        ("implementation", c_void_p),
        ("instantiate", CFUNCTYPE(Handle, c_void_p, c_ulong)),
        ("connect_port", CFUNCTYPE(None, Handle, c_ulong, c_void_p)),
        ("activate", CFUNCTYPE(None, Handle)),
        ("run", c_void_p),
        ("run_adding", c_void_p),
        ("set_run_adding_gain", c_void_p),
        ("deactivate", CFUNCTYPE(None, Handle)),
        ("cleanup", CFUNCTYPE(None, Handle)),
    )


class ProgramEntry(ctypes.Structure):
    """DSSI_Program_Descriptor."""

    _fields_ = (("bank", c_ulong), ("program", c_ulong), ("name", c_char_p))


class Dssi(ctypes.Structure):
    """DSSI_Descriptor, up to what is used."""

    _fields_ = (
        ("version", c_int),
        ("ladspa", POINTER(Ladspa)),
        ("configure", CFUNCTYPE(c_void_p, Handle, c_char_p, c_char_p)),
        ("get_program", CFUNCTYPE(POINTER(ProgramEntry), Handle, c_ulong)),
        ("select_program", CFUNCTYPE(None, Handle, c_ulong, c_ulong)),
        ("get_midi_controller", c_void_p),
        ("run_synth", CFUNCTYPE(None, Handle, c_ulong, POINTER(Event), c_ulong)),
    )


class Program(NamedTuple):
    """One patch of a synthesiser."""

    bank: int
    number: int
    name: str


def find(plugin: str) -> Path:
    """The library of a plugin: a path, or a name such as ``whysynth`` in DSSI_PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    name = plugin if plugin.endswith(".so") else f"{plugin}.so"
    folders = os.environ.get("DSSI_PATH", FOLDERS).split(":")
    for path in (Path(name), *(Path(folder).expanduser() / name for folder in folders if folder)):
        if path.is_file():
            return path.resolve()
    raise FileNotFoundError(plugin)


class Played(NamedTuple):
    """A note to be played."""

    program: Program
    pitch: int
    velocity: int


class CrashError(Exception):
    """A plugin ended its process, or never answered."""


def apart(function: Callable[..., Iterator[T]], *arguments: Any) -> list[T]:
    """What a generator of this module yields, in a process of its own.

    Raises:
        CrashError: the process died or hung.
        OSError: the plugin said what is wrong.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    process.start()
    theirs.close()
    found: list[T] = []
    try:
        while True:
            if not ours.poll(TIMEOUT_S):
                raise CrashError(f"no answer within {TIMEOUT_S:g} s")
            answer = ours.recv()
            if answer is None:
                return found
            if isinstance(answer, OSError):
                raise answer
            found.append(answer)
    except EOFError:
        process.join()
        raise CrashError(f"its process ended with {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        ours.close()


def _answer(
    pipe: Connection, function: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]
) -> None:
    """Sends what a generator yields, then None; an OSError if there is one."""
    # an interrupted command kills this process itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for each in function(*arguments):
            pipe.send(each)
        pipe.send(None)
    except BrokenPipeError:
        pass  # the command was interrupted
    except OSError as error:
        pipe.send(OSError(str(error)))


def look(
    library: Path, banks: Sequence[Path | None]
) -> Iterator[tuple[dict[str, str], list[Program]]]:
    """What a plugin says of itself, and the programs of each bank; None is what it has built in."""
    with Synth(library) as synth:
        built_in = synth.programs()
    for bank in banks:
        with Synth(library, bank) as synth:
            programs = synth.programs()
            # a bank is written over the first of the programs that are there; the rest is not its
            new = [n for n, each in enumerate(programs) if each not in built_in[n : n + 1]]
            yield synth.about, programs[: new[-1] + 1] if new else programs


def play(
    library: Path, patches: Path | None, notes: Sequence[Played]
) -> Iterator[NDArray[np.float32]]:
    """Notes, [64000] each, every one by an instance of its own.

    A filter that has run away to infinity, or an echo, would be heard in all later notes.
    """
    for program, pitch, velocity in notes:
        with Synth(library, patches) as synth:
            synth.select(program)
            yield synth.note(pitch, velocity)


class Synth:
    """One instance of a plugin's first synthesiser.

    Args:
        library: the plugin's .so file.
        patches: bank file that the plugin loads, or None for its own.

    Raises:
        OSError: it cannot be loaded, or cannot load the bank.
    """

    def __init__(self, library: Path, patches: Path | None = None) -> None:
        entry = ctypes.CDLL(str(library)).dssi_descriptor
        entry.restype, entry.argtypes = POINTER(Dssi), (c_ulong,)
        found = entry(0)
        if not found or not found.contents.run_synth:
            raise OSError(f"{library} has no DSSI synthesiser")
        self._dssi = found.contents
        self._ladspa = self._dssi.ladspa.contents
        self._handle = self._ladspa.instantiate(self._dssi.ladspa, RATE)
        if not self._handle:
            raise OSError(f"{library} does not start")
        self._outputs: list[NDArray[np.float32]] = []
        self._ports: list[Any] = []
        self._connect()
        self._ladspa.activate(self._handle)
        if patches is not None:
            self._load(patches)

    def _connect(self) -> None:
        """Gives each port a place in memory; controls start at their defaults."""
        for port in range(self._ladspa.port_count):
            kind = self._ladspa.port_descriptors[port]
            memory = np.zeros(BLOCK if kind & AUDIO else 1, np.float32)
            if kind & CONTROL:
                memory[0] = _default(self._ladspa.port_hints[port])
            elif kind & OUTPUT:
                self._outputs.append(memory)
            self._ports.append(memory)
            self._ladspa.connect_port(self._handle, port, memory.ctypes.data)

    def _load(self, patches: Path) -> None:
        said = self._dssi.configure(self._handle, b"load", str(patches).encode())
        if said:
            # a plugin answers only where something is wrong
            message = ctypes.string_at(said).decode("utf-8", "replace")
            raise OSError(message)

    @property
    def about(self) -> dict[str, str]:
        """What the plugin says of itself."""
        names = ("label", "name", "maker", "copyright")
        return {key: _text(getattr(self._ladspa, key)) for key in names}

    def programs(self) -> list[Program]:
        """Patches in their order."""
        found: list[Program] = []
        while entry := self._dssi.get_program(self._handle, len(found)):
            program = entry.contents
            found.append(Program(program.bank, program.program, _text(program.name)))
        return found

    def select(self, program: Program) -> None:
        """Makes a patch sound from the next note on."""
        self._dssi.select_program(self._handle, program.bank, program.number)

    def note(self, pitch: int, velocity: int) -> NDArray[np.float32]:
        """A note of 3 s and 1 s of release, mono, [64000] at 16 kHz."""
        held, total = HELD_S * RATE // BLOCK, SAMPLES * RATE // SAMPLE_RATE // BLOCK
        parts = [self._run([_event(NOTE_ON, pitch, velocity)])]
        parts += [self._run() for _ in range(held - 1)]
        parts.append(self._run([_event(NOTE_OFF, pitch, 0)]))
        parts += [self._run() for _ in range(total - held - 1)]
        return resample(np.concatenate(parts), RATE)

    def _run(self, events: Sequence[Event] = ()) -> NDArray[np.float32]:
        """The next block, the mean of the outputs."""
        array = (Event * len(events))(*events) if events else None
        self._dssi.run_synth(self._handle, BLOCK, array, len(events))
        return np.mean(self._outputs, axis=0, dtype=np.float32)

    def close(self) -> None:
        """Lets the plugin free what it holds."""
        if self._ladspa.deactivate:
            self._ladspa.deactivate(self._handle)
        self._ladspa.cleanup(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _default(hint: Hint) -> float:
    """The value a control has if nothing sets it, by ladspa.h's hints."""
    scale = RATE if hint.hint & SCALED else 1
    lower, upper = hint.lower * scale, hint.upper * scale
    kind = hint.hint & DEFAULTS
    if kind in BETWEEN:
        share = BETWEEN[kind]
        if hint.hint & LOGARITHMIC and lower > 0:
            return float(lower ** (1 - share) * upper**share)
        return float(lower + share * (upper - lower))
    return FIXED.get(kind, max(0.0, lower) if hint.hint & BOUNDED_BELOW else 0.0)


def _event(kind: int, pitch: int, velocity: int) -> Event:
    return Event(type=kind, note=pitch, velocity=velocity)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace").strip()
