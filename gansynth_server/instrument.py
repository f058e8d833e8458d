"""Who plays what: clients with their latents and notes. Knows no OSC and no samples.

All methods may be called from any thread; one lock guards the clients. The
sound never waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from gansynth_server.api import Model, find_preset, nearest_pitch
from gansynth_server.client import Client
from gansynth_server.errors import UserError
from gansynth_server.latent.slots import Slots
from gansynth_server.latent.vectors import Latent, draw, slerp
from gansynth_server.render.jobs import Job
from gansynth_server.render.renderer import Renderer
from gansynth_server.spectral.inverse import Spectrum
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note, NoteId

REACH = 7  # keys to either side of the last notes that are rendered ahead
Event = Callable[[Client, str, NoteId], None]


class Instrument:
    """Turns what clients ask for into latents, renders and notes.

    Args:
        seed: of the latents that are drawn without a seed of their own.
        failed: is told of notes that could not be rendered.
        clock: seconds, to which all times given as ``when`` refer; None there is now.
    """

    def __init__(
        self,
        renderer: Renderer,
        seed: int,
        failed: Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.RLock()
        self._renderer = renderer
        self._seeds = np.random.default_rng(seed)
        self._failed = failed
        self._jobs = count()
        self._clock = clock

    def time(self, when: float | None) -> float:
        """Seconds of the clock that are meant by a ``when``."""
        return self._clock() if when is None else when

    def join(self, number: int, model: Model, bus: Bus) -> Client:
        """A new client, whose slot ``z`` holds a random latent."""
        client = Client(number, model, bus, Slots(model.latent_size))
        self.random(client, "z")
        return client

    # latents

    def latent(self, client: Client, slot: str, when: float | None = None) -> Latent:
        """The latent of a slot; UserError where it is empty."""
        return client.latents.at(slot, self.time(when))

    def set(self, client: Client, slot: str, z: Latent) -> None:
        """Fills a slot; UserError for a latent of another size, or too many slots."""
        with self.lock:
            client.latents.put_still(slot, z)
            if slot == client.slot and client.recent:
                self._look_ahead(client)

    def random(
        self, client: Client, slot: str, seed: int | None = None, spread: float = 1.0
    ) -> None:
        with self.lock:
            chosen = int(self._seeds.integers(2**24)) if seed is None else seed
        self.set(client, slot, draw(client.model.latent_size, chosen, spread))

    def slerp(
        self,
        client: Client,
        to: str,
        a: str,
        b: str,
        amount: float,
        when: float | None = None,
    ) -> None:
        first, second = (self.latent(client, slot, when) for slot in (a, b))
        self.set(client, to, slerp(first, second, amount))

    def preset(self, client: Client, slot: str, name: str) -> None:
        self.set(client, slot, find_preset(client.model.presets, name))

    # notes

    def play(
        self,
        client: Client,
        pitch: float,
        velocity: float,
        id: NoteId | None,
        slot: str,
        when: float | None = None,
    ) -> None:
        """Starts a note, or releases it at velocity 0; its id is the pitch when left out."""
        if id is None:
            id = int(pitch) if pitch == int(pitch) else pitch
        if velocity == 0:
            self.release(client, id, when)
            return
        z = self.latent(client, slot, when)
        rendered = nearest_pitch(client.model.pitches, pitch)
        note = Note(client, id, pitch, velocity, rendered, on=self.time(when))
        bus = client.bus

        def begun(spectrum: Spectrum) -> None:
            note.spectrum = spectrum
            with self.lock:
                wanted = note in client.rendering  # not silenced meanwhile
                client.rendering.discard(note)
                if wanted:
                    bus.start(note, when)

        def failed(why: str) -> None:
            with self.lock:
                client.rendering.discard(note)
            bus.silence(lambda other: other is note)  # its head may sound already
            self._failed(client, why, note.id)

        with self.lock:
            client.rendering.add(note)
            before = client.notes.get(id)
            try:
                self._render(client, z, rendered, lambda spectrum: None, failed, begun)
            except UserError:
                client.rendering.discard(note)
                raise
            if before is not None:  # the same id again is a new note
                self._release(*before, when)
            client.notes[id] = (note, bus)
            client.slot = slot
            client.recent.append(rendered)
            self._look_ahead(client)

    def release(self, client: Client, id: NoteId, when: float | None = None) -> None:
        """Releases a note; one that is over already is no error."""
        with self.lock:
            held = client.notes.pop(id, None)
        if held is not None:
            self._release(*held, when)

    def _release(self, note: Note, bus: Bus, when: float | None) -> None:
        note.off = self.time(when)
        bus.release(note, when)

    def release_all(self, client: Client, when: float | None = None) -> None:
        with self.lock:
            for id in list(client.notes):
                self.release(client, id, when)

    def silence(self, client: Client, when: float | None = None) -> None:
        """Ends the sound of a client's notes, also of those being rendered, but none of those
        that begin later."""
        end = self.time(when)
        with self.lock:
            doomed = {note for note in client.rendering if note.on <= end}
            held = {id: note for id, (note, _) in client.notes.items() if note.on <= end}
            buses = {client.bus, *(client.notes.pop(id)[1] for id in held)}
            doomed.update(held.values())
            if when is None:
                client.rendering -= doomed
        for bus in buses:
            bus.post(lambda voices: client.rendering.difference_update(doomed), when)
            bus.silence(
                lambda note: note.owner is client and (note.on < end or note in doomed), when
            )

    def ended(self, note: Note) -> None:
        """Forgets a note whose sound is over."""
        with self.lock:
            assert isinstance(note.owner, Client)
            if note.owner.notes.get(note.id, (None,))[0] is note:
                del note.owner.notes[note.id]

    def synthesize(
        self,
        client: Client,
        pitch: float,
        slot: str,
        done: Callable[[NDArray[np.float32]], None],
        failed: Callable[[str], None],
        when: float | None = None,
    ) -> None:
        """Renders a whole note as a wave [64000] at 16 kHz, without envelope."""
        rendered = nearest_pitch(client.model.pitches, pitch)
        if pitch != rendered:
            raise UserError("a note for an array must have a whole pitch")

        def invert(spectrum: Spectrum) -> None:
            import torch

            from gansynth_server.spectral import transform

            parts = (torch.from_numpy(p)[None] for p in (spectrum.magnitude, spectrum.increment))
            done(transform.waves(*parts)[0].numpy())

        with self.lock:
            self._render(client, self.latent(client, slot, when), rendered, invert, failed)

    # work that takes time

    def use(self, client: Client, model: Model) -> None:
        """Changes a client's checkpoint; latents of another size give way to a random one."""
        with self.lock:
            client.model = model
            client.recent.clear()
            self._renderer.ahead(client, model.backend, [])
            if client.latents.size != model.latent_size:
                client.latents = Slots(model.latent_size)
            if "z" not in client.latents:
                self.random(client, "z")

    def job(self, client: Client) -> Callable[[], None]:
        """Begins something that ``/sync`` waits for; call the result when it is done."""
        number = next(self._jobs)
        with self.lock:
            client.begin(number)

        def finish() -> None:
            with self.lock:
                client.finish(number)

        return finish

    def _render(
        self,
        client: Client,
        z: Latent,
        pitch: int,
        done: Callable[[Spectrum], None],
        failed: Callable[[str], None],
        begun: Callable[[Spectrum], None] | None = None,
    ) -> None:
        finish = self.job(client)

        def then(call: Callable[[], None]) -> None:
            try:
                call()
            finally:
                finish()

        label = client.model.checkpoint.config.label(pitch)
        try:
            self._renderer.submit(
                Job(
                    client.model.backend,
                    z,
                    label,
                    lambda spectrum: then(lambda: done(spectrum)),
                    lambda why: then(lambda: failed(why)),
                    begun,
                )
            )
        except UserError:
            finish()
            raise

    def _look_ahead(self, client: Client) -> None:
        """Has the keys around a client's last notes rendered while there is time."""
        z, config = self.latent(client, client.slot), client.model.checkpoint.config
        near = [pitch + s * d for d in range(REACH + 1) for pitch in client.recent for s in (1, -1)]
        keys = [config.label(pitch) for pitch in dict.fromkeys(near) if pitch in config.pitches]
        self._renderer.ahead(client, client.model.backend, [(z, label) for label in keys])
