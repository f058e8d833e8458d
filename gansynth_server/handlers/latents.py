"""Messages about latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.latent import files
from gansynth_server.latent.paths import SHAPES, Lfo, Walk
from gansynth_server.latent.presets import nearest
from gansynth_server.latent.slots import MOST_SLOTS, Still
from gansynth_server.latent.vectors import mix
from gansynth_server.osc.schema import MAX_TEXT
from gansynth_server.util.yielding_json import steps

LIST_BYTES = 7000


class LatentMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._root = host.root
        self._background = host.background

    def z_set(self, call: Call, slot: str, z: NDArray[np.float32]) -> None:
        self._instrument.set(call.client, slot, z, call.when)

    def z_get(self, call: Call, slot: str) -> None:
        call.reply("/z", slot, self._instrument.latent(call.client, slot, call.when))

    def z_random(self, call: Call, slot: str, seed: int | None, spread: float) -> None:
        self._instrument.random(call.client, slot, seed, spread, call.when)

    def z_slerp(self, call: Call, to: str, a: str, b: str, amount: float) -> None:
        self._instrument.slerp(call.client, to, a, b, amount, call.when)

    def z_preset(self, call: Call, slot: str, name: str) -> None:
        self._instrument.preset(call.client, slot, name, call.when)

    def z_mix(
        self,
        call: Call,
        slot: str,
        a: str,
        wa: float,
        b: str,
        wb: float,
        c: str | None,
        wc: float,
        d: str | None,
        wd: float,
    ) -> None:
        corners = {a: wa}
        for corner, weight in ((b, wb), (c, wc), (d, wd)):
            if corner is not None:
                corners[corner] = corners.get(corner, 0.0) + weight
        latents = [self._instrument.latent(call.client, name, call.when) for name in corners]
        blend = mix(latents, list(corners.values()))
        text = " ".join(f"{name} {weight:g}" for name, weight in corners.items())
        self._instrument.set(call.client, slot, blend, call.when, f"mix {text}")

    def z_walk(self, call: Call, slot: str, speed: float, spread: float, seed: int | None) -> None:
        size, seed = call.client.latents.size, self._instrument.seed(seed)
        path = Walk(size, seed, speed, spread, self._instrument.time(call.when))
        self._instrument.put(call.client, slot, path, call.when)

    def z_lfo(
        self, call: Call, slot: str, a: str, b: str, rate: float, shape: str, phase: float
    ) -> None:
        names = list(SHAPES)
        if shape in map(str, range(len(names))):
            shape = names[int(shape)]
        if shape not in SHAPES:
            raise UserError(f"a shape is {', '.join(names)} or 0 to {len(names) - 1}, not {shape}")
        start = self._instrument.time(call.when)
        first, second = (call.client.latents.path(end, start) for end in (a, b))
        path = Lfo(first, second, shape, rate, phase, start)
        self._instrument.put(call.client, slot, path, call.when)

    def z_freeze(self, call: Call, slot: str) -> None:
        now = self._instrument.time(call.when)
        path = call.client.latents.path(slot, now)
        if not isinstance(path, Still):
            self._instrument.set(call.client, slot, path.at(now), call.when, f"frozen {path}")

    def z_nearest(self, call: Call, slot: str, count: int) -> None:
        z = self._instrument.latent(call.client, slot, call.when)
        found = nearest(z, call.client.model.presets, count)
        call.reply("/z/nearest.reply", slot, *(value for pair in found for value in pair))

    def z_list(self, call: Call, skip: int) -> None:
        latents, room = call.client.latents, LIST_BYTES
        now = self._instrument.time(call.when)
        entries = [[slot, str(latents.path(slot, now))[:MAX_TEXT]] for slot in latents]
        entries += [[name] for name in call.client.model.presets]
        slots: list[str] = []
        names: list[str] = []
        for entry in entries[skip:]:
            room -= sum(len(text.encode()) + 5 for text in entry)  # padding and type tag
            if room < 0:
                break
            (slots if len(entry) == 2 else names).extend(entry)
        counts = len(entries), len(slots) // 2, len(names)
        call.reply("/z/list.reply", *counts, *slots, *names)

    def z_save(self, call: Call, file: str) -> None:
        now, name = self._instrument.time(call.when), call.client.model.checkpoint.name
        paths = {slot: call.client.latents.path(slot, now) for slot in call.client.latents}
        latents = {slot: path.at(now) for slot, path in paths.items()}
        origins = {slot: str(path) for slot, path in paths.items()}
        files.suffix_of(file)

        def save() -> None:
            self._root.write(file, files.encode(file, latents, name, origins))
            call.reply("/done", "/z/save", file, len(latents))

        self._background.run(call, "/z/save", save)

    def z_load(self, call: Call, file: str) -> None:
        files.suffix_of(file)

        def load() -> None:
            data = self._root.read(file, files.MOST_BYTES)
            found = files.decode(file, data, call.client.latents.size)
            if len(set(found).union(call.client.latents)) > MOST_SLOTS:
                raise UserError(f"{file} has {len(found)} latents: more than there are free slots")
            for slot, z in steps(found.items()):
                self._instrument.set(call.client, slot, z, call.when, f"file {file}")
            call.reply("/done", "/z/load", file, len(found))

        self._background.run(call, "/z/load", load)
