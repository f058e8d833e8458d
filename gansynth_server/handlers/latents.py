"""Messages about latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.host import Host, LiveHost, Task
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.tempo import per_second, tempo_of
from gansynth_server.latent import directions, files, timbre_map
from gansynth_server.latent.descriptor_names import MEASURES
from gansynth_server.latent.paths import SHAPES, Lfo, Walk
from gansynth_server.latent.presets import nearest
from gansynth_server.latent.slots import MAX_SLOTS, ConstantPath, Path
from gansynth_server.latent.vectors import mix
from gansynth_server.osc.schema import MAX_TEXT
from gansynth_server.render.protocol import InvertRequest
from gansynth_server.util.beats import Beats

MAX_LIST_BYTES = 7000
"""Bytes of names in a datagram."""
MAX_AMOUNT = 100.0
"""Standard deviations by which a latent is moved along a component."""


class LatentMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._root = host.root
        self._background = host.background

    def z_set(self, request: Request, slot: str, z: NDArray[np.float32]) -> None:
        self._instrument.set_latent(request.client, slot, z, request.when)

    def z_get(self, request: Request, slot: str) -> None:
        request.reply("/z", slot, self._instrument.latent(request.client, slot, request.when))

    def z_random(self, request: Request, slot: str, seed: int | None, spread: float) -> None:
        self._instrument.random(request.client, slot, seed, spread, request.when)

    def z_slerp(self, request: Request, to: str, a: str, b: str, amount: float) -> None:
        self._instrument.slerp(request.client, to, a, b, amount, request.when)

    def z_preset(self, request: Request, slot: str, name: str) -> None:
        self._instrument.preset(request.client, slot, name, request.when)

    def z_mix(
        self,
        request: Request,
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
        latents = [self._instrument.latent(request.client, name, request.when) for name in corners]
        blend = mix(latents, list(corners.values()))
        text = " ".join(f"{name} {weight:g}" for name, weight in corners.items())
        self._instrument.set_latent(request.client, slot, blend, request.when, f"mix {text}")

    def z_walk(
        self, request: Request, slot: str, speed: float | Beats, spread: float, seed: int | None
    ) -> None:
        prior, seed = request.client.model.prior, self._instrument.seed(seed)
        speed = per_second(request.client, speed)
        path = Walk(prior, seed, speed, spread, self._instrument.time(request.when))
        self._instrument.set_path(request.client, slot, path, request.when)

    def z_lfo(
        self,
        request: Request,
        slot: str,
        a: str,
        b: str,
        rate: float | Beats,
        shape: str,
        phase: float,
    ) -> None:
        names = list(SHAPES)
        if shape in map(str, range(len(names))):
            shape = names[int(shape)]
        if shape not in SHAPES:
            raise UserError(f"a shape is {', '.join(names)} or 0 to {len(names) - 1}, not {shape}")
        start = self._instrument.time(request.when)
        first, second = (request.client.latents.path(end, start) for end in (a, b))
        turns = per_second(request.client, rate)
        if isinstance(rate, Beats):
            start = tempo_of(request.client).last_multiple(rate.number, start)
        path = Lfo(first, second, shape, turns, phase, start)
        self._instrument.set_path(request.client, slot, path, request.when)

    def z_freeze(self, request: Request, slot: str) -> None:
        now = self._instrument.time(request.when)
        path = request.client.latents.path(slot, now)
        if not isinstance(path, ConstantPath):
            self._instrument.set_latent(
                request.client, slot, path.at(now), request.when, f"frozen {path}"
            )

    def z_nearest(self, request: Request, slot: str, count: int) -> None:
        z = self._instrument.latent(request.client, slot, request.when)
        found = nearest(z, request.client.model.presets, count)
        request.reply("/z/nearest.reply", slot, *(value for pair in found for value in pair))

    def z_list(self, request: Request, skip: int) -> None:
        latents, room = request.client.latents, MAX_LIST_BYTES
        now = self._instrument.time(request.when)
        entries = [[slot, str(latents.path(slot, now))[:MAX_TEXT]] for slot in latents]
        entries += [[name] for name in request.client.model.presets]
        slots: list[str] = []
        names: list[str] = []
        for entry in entries[skip:]:
            room -= sum(len(text.encode()) + 5 for text in entry)  # padding and type tag
            if room < 0:
                break
            (slots if len(entry) == 2 else names).extend(entry)
        counts = len(entries), len(slots) // 2, len(names)
        request.reply("/z/list.reply", *counts, *slots, *names)

    def z_save(self, request: Request, file: str) -> None:
        now, name = self._instrument.time(request.when), request.client.model.checkpoint.name
        paths = {slot: request.client.latents.path(slot, now) for slot in request.client.latents}
        latents = {slot: path.at(now) for slot, path in paths.items()}
        origins = {slot: str(path) for slot, path in paths.items()}
        files.suffix_of(file)

        def save() -> None:
            self._root.write(file, files.encode(file, latents, name, origins))
            request.reply("/done", "/z/save", file, len(latents))

        self._background.run(request, "/z/save", save)

    def z_load(self, request: Request, file: str) -> None:
        files.suffix_of(file)

        def load() -> None:
            data = self._root.read(file, files.MAX_BYTES)
            found = files.decode(file, data, request.client.latents.size)
            if len(set(found).union(request.client.latents)) > MAX_SLOTS:
                raise UserError(f"{file} has {len(found)} latents: more than there are free slots")
            for slot, z in found.items():
                self._instrument.set_latent(request.client, slot, z, request.when, f"file {file}")
            request.reply("/done", "/z/load", file, len(found))

        self._background.run(request, "/z/load", load)

    def pca(self, request: Request, slot: str, pairs: NDArray[np.float32]) -> None:
        self._edit(request, slot, pairs, bare=False)

    def pca_noz(self, request: Request, slot: str, pairs: NDArray[np.float32]) -> None:
        self._edit(request, slot, pairs, bare=True)

    def pca_amounts(
        self, request: Request, bare: int, slot: str, amounts: NDArray[np.float32]
    ) -> None:
        pairs = np.stack([np.arange(len(amounts), dtype=np.float32), amounts], axis=1)
        self._edit(request, slot, pairs.ravel(), bare=bool(bare))

    def pca_info(self, request: Request) -> None:
        found = directions.load(request.client.model.checkpoint)
        table = np.stack([found.share, found.reach], axis=1)
        request.reply("/pca/info.reply", len(found), table.ravel())

    def _edit(self, request: Request, slot: str, pairs: NDArray[np.float32], bare: bool) -> None:
        if len(pairs) % 2 or (pairs[::2] % 1).any() or (np.abs(pairs[1::2]) > MAX_AMOUNT).any():
            raise UserError(
                f"after the slot come pairs: a component's number and -{MAX_AMOUNT:g} to "
                f"{MAX_AMOUNT:g} standard deviations"
            )
        amounts = dict(zip(pairs[::2].astype(int).tolist(), pairs[1::2].tolist(), strict=True))
        found = directions.load(request.client.model.checkpoint)
        latents, now = request.client.latents, self._instrument.time(request.when)
        path: Path = ConstantPath(np.zeros(latents.size, np.float32), "no latent")
        if not bare:
            path = latents.path(slot, now)
        elif slot in latents:
            before = latents.path(slot, now)
            if isinstance(before, directions.OffsetPath) and before.bare:
                path = before
        edited = directions.edit(path, found, amounts, bare, now)
        self._instrument.set_path(request.client, slot, edited, request.when)

    def map(self, request: Request, x: float, y: float, slot: str) -> None:
        z = timbre_map.load(request.client.model.checkpoint).at(x, y)
        self._instrument.set_latent(request.client, slot, z, request.when, f"map {x:g} {y:g}")

    def z_brighter(self, request: Request, slot: str, amount: float) -> None:
        self._move(request, slot, "brighter", amount)

    def z_slower(self, request: Request, slot: str, amount: float) -> None:
        self._move(request, slot, "slower", amount)

    def z_longer(self, request: Request, slot: str, amount: float) -> None:
        self._move(request, slot, "longer", amount)

    def z_noisier(self, request: Request, slot: str, amount: float) -> None:
        self._move(request, slot, "noisier", amount)

    def z_purer(self, request: Request, slot: str, amount: float) -> None:
        self._move(request, slot, "purer", amount)

    def _move(self, request: Request, slot: str, measure: str, amount: float) -> None:
        named = timbre_map.load(request.client.model.checkpoint).named
        latents, now = request.client.latents, self._instrument.time(request.when)
        amounts = {MEASURES.index(measure): amount}
        path = directions.edit(latents.path(slot, now), named, amounts, bare=False, seconds=now)
        self._instrument.set_path(request.client, slot, path, request.when)


class InversionMessages:
    def __init__(self, host: LiveHost) -> None:
        self._instrument = host.instrument
        self._root = host.root
        self._background = host.background
        self._render_process = host.render_process

    def z_invert(
        self, request: Request, slot: str, file: str, pitch: int | None, seconds: float
    ) -> None:
        model, seed = request.client.model, self._instrument.seed(None)

        def invert() -> None:
            path, sound = str(model.checkpoint.weights), self._root.read(file)
            found = self._render_process.invert(
                InvertRequest(path, sound, file, pitch, seconds, seed)
            )
            *_, heard, distance = found.tolist()
            self._instrument.set_latent(request.client, slot, found[:-2], None, f"inverted {file}")
            request.reply("/done", "/z/invert", slot, file, int(heard), distance)

        self._background.run(request, "/z/invert", invert, Task.SEARCH)
