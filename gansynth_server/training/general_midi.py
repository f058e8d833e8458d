"""The General MIDI programs, 0…127: their families and kinds of sound."""

from __future__ import annotations

from gansynth_server.midi.general_midi import GENERAL_MIDI
from gansynth_server.training.dataset import Source

FAMILIES = tuple(
    """
    piano chromatic_percussion organ guitar bass strings ensemble brass reed pipe synth_lead
    synth_pad synth_effects ethnic percussive sound_effects
    """.split()
)
"""Of eight programs each."""

# electric grand and pianos, clavinet; tone-wheel organs; electric guitars; electric basses
ELECTRONIC = frozenset({2, 4, 5, 7, 16, 17, 18, *range(26, 32), *range(33, 38)})
# basses, strings, voice, brass; leads, pads, effects; the drum
SYNTHETIC = frozenset({38, 39, 50, 51, 54, 62, 63, *range(80, 104), 118})

# Of one definite pitch. Left out: 31 harmonics, 47 timpani, 55 orchestra hit,
# 86 fifths, 87 bass and lead, and 96…103 and 112…127, effects and percussion.
PITCHED_PROGRAMS = tuple(p for p in (*range(96), *range(104, 112)) if p not in (31, 47, 55, 86, 87))


def family(program: int) -> str:
    """One of FAMILIES."""
    return FAMILIES[program // 8]


def family_of(name: str) -> str:
    """The family of the General MIDI instrument whose name it ends with; else the name itself."""
    ends = [known for known in GENERAL_MIDI if name == known or name.endswith(f"_{known}")]
    return family(GENERAL_MIDI.index(max(ends, key=len))) if ends else name


def source(program: int) -> Source:
    """How the instrument of a program makes its sound."""
    if program in ELECTRONIC:
        return "electronic"
    return "synthetic" if program in SYNTHETIC else "acoustic"
