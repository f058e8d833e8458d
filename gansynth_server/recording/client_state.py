"""A client's settings, as messages that set another client to the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import Any

import numpy as np

from gansynth_server.instrument.client import Client
from gansynth_server.instrument.tempo import own_tempo
from gansynth_server.instrument.tuning import Mapping, Scale, Tuning
from gansynth_server.synth.playhead import seconds
from gansynth_server.util.beats import Beats

Words = tuple[Any, ...]
"""A message: its address and arguments, of which some may be arrays of numbers."""


def flat(args: Iterable[Any]) -> Iterator[Any]:
    """Flatten checked arguments to numbers and words; one that was left out ends them."""
    for arg in args:
        if isinstance(arg, np.ndarray):
            yield from arg.tolist()
        elif isinstance(arg, dict):
            for pair in arg.items():
                yield from pair
        elif isinstance(arg, Beats):
            yield str(arg)
        elif arg is None:
            return
        else:
            yield arg


def state(client: Client, now: float) -> Iterator[Words]:
    """Return the messages; latents that move are taken as they are at this time."""
    yield "/checkpoint/load", client.model.checkpoint.name
    tempo = own_tempo(client)
    if tempo is not None:
        yield "/tempo", tempo.bpm, tempo.beat_at(now)
    for slot in client.latents:
        yield "/z/set", slot, client.latents.at(slot, now)
    for slot in sorted(client.followed):
        yield "/z/follow", slot, 1
    style = client.style
    yield "/envelope", *astuple(style.envelope)
    yield "/hold", int(style.hold)
    if style.hold_region is not None:
        yield "/hold/region", *map(seconds, style.hold_region)
    yield "/velocity/curve", style.velocity_curve
    yield "/pressure", *style.pressure_target
    yield "/pedal", int(style.pedal_down)
    for slot, group in style.choke_groups.items():
        yield "/choke", slot, group
    if client.tuning != Tuning():
        yield "/tuning", "scl", _scl(client.tuning.scale)
        yield "/tuning", "kbm", _kbm(client.tuning.mapping)
        yield "/tuning", "a4", client.tuning.a4


def _scl(scale: Scale) -> str:
    """Return the text of a scale, as Scala writes it."""
    cents = [f"{cent:.15f}" for cent in scale.cents]
    return "\n".join([f" {scale.name}", str(len(cents)), *cents])


def _kbm(mapping: Mapping) -> str:
    """Return the text of a keyboard mapping, as Scala writes it."""
    keys = mapping.first, mapping.last, mapping.middle, mapping.reference
    head = [len(mapping.degrees), *keys, f"{mapping.frequency:.15f}", mapping.octave]
    degrees = ["x" if degree is None else degree for degree in mapping.degrees]
    return "\n".join(map(str, [*head, *degrees]))
