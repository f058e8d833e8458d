"""The render thread: heads first, together, in turn; nothing rendered twice; nothing late heard."""

import threading
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from gansynth_server import UserError
from gansynth_server.model import checkpoint
from gansynth_server.render import renderer as module
from gansynth_server.render.backends.base import HEAD, Backend, BackendInfo, Slice
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import fold
from gansynth_server.render.jobs import Job
from gansynth_server.render.renderer import Renderer
from gansynth_server.render.window_requests import WindowRequest
from gansynth_server.spectral.arena import Arena, LocalSpectra, SharedSpectra
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices
from tests.support import golden_rule

CPU = torch.device("cpu")
SLICES = (Slice(HEAD, 4), Slice((8, 64), 1), Slice((64, 128), 1))


class Watched(Backend):
    """A real backend that writes down what it is asked for, and can be held up."""

    def __init__(self, real: Backend) -> None:
        self.real = real
        self.info = BackendInfo("watched", slices=SLICES)
        self.calls: list[tuple[list[int], tuple[int, int]]] = []
        self.gate = threading.Semaphore(0)
        self.broken = False

    def frames(self, z, labels, window):
        self.calls.append((labels.tolist(), window))
        self.gate.acquire()
        if self.broken:
            raise RuntimeError("no")
        return self.real.frames(z, labels, window)

    def let(self, count: int) -> None:
        """Lets some calls through and waits for the next one to arrive."""
        until(lambda: self.calls)
        for _ in range(count):
            before = len(self.calls)
            self.gate.release()
            deadline = time.monotonic() + 20
            while len(self.calls) == before and time.monotonic() < deadline:
                time.sleep(0.001)


@pytest.fixture(scope="module")
def real():
    return Eager(fold(checkpoint.load("all_instruments").generator), CPU)


@pytest.fixture
def backend(real):
    return Watched(real)


@pytest.fixture
def arena():
    return Arena(SharedSpectra(32))


@pytest.fixture
def renderer(arena):
    made = Renderer(arena, 32)
    yield made
    made.stop()


class Heard:
    """A job, and what was told of it."""

    def __init__(self, backend, label=0, seed=0, hurry=True) -> None:
        self.events: list[object] = []
        self.over = threading.Event()
        self.z = np.random.default_rng(seed).standard_normal(256).astype(np.float32)
        begun = (lambda spectrum: self.events.append("begun")) if hurry else None
        self.wanted = True
        self.job = Job(backend, self.z, label, self._done, self._failed, begun, lambda: self.wanted)
        self.spectrum: Spectrum | None = None

    def _done(self, spectrum):
        self.spectrum = spectrum
        self.events.append("done")
        self.over.set()

    def _failed(self, why):
        self.events.append(why)
        self.over.set()


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_heads_overtake_and_go_together(backend, renderer):
    first = Heard(backend, 1)
    renderer.submit(first.job)
    backend.let(1)  # its head is done and its rest in hand
    assert first.events == ["begun"]
    later = [Heard(backend, label) for label in (2, 3, 4, 5, 6)]
    for heard in later:
        renderer.submit(heard.job)
    assert renderer.waiting == 6
    backend.gate.release(100)
    for heard in [first, *later]:
        assert heard.over.wait(20) and heard.events == ["begun", "done"]
    heads = [([1], HEAD), ([1], (8, 64)), ([2, 3, 4, 5], HEAD), ([6], HEAD)]
    assert backend.calls[:4] == heads
    for window in SLICES[1:]:  # the rests in turn
        order = [labels[0] for labels, done in backend.calls if done == window.window]
        assert order == [1, 2, 3, 4, 5, 6]
    assert renderer.waiting == 0


def test_parts_are_the_whole(real, backend, renderer):
    heard = Heard(backend, 7)
    backend.gate.release(9)
    renderer.submit(heard.job)
    assert heard.over.wait(20)
    whole = real.render(heard.z[None], np.array([7]))[0]
    assert heard.spectrum is not None and heard.spectrum.ready == 128
    assert np.abs(heard.spectrum.magnitude - whole.magnitude).max() < 1e-5 * whole.magnitude.max()
    assert np.abs(heard.spectrum.increment - whole.increment).max() < 2e-5


def test_equal_notes_are_rendered_once(backend, renderer):
    first, second, third = (Heard(backend, 9) for _ in range(3))
    renderer.submit(first.job)
    renderer.submit(second.job)
    backend.let(1)
    until(lambda: second.events)
    renderer.submit(third.job)  # its head is there
    assert third.events == ["begun"]
    backend.gate.release(9)
    for heard in (first, second, third):
        assert heard.over.wait(20) and heard.events == ["begun", "done"]
    again = Heard(backend, 9)
    renderer.submit(again.job)
    assert again.events == ["begun", "done"] and again.spectrum is first.spectrum
    assert len(backend.calls) == 3
    other = Heard(backend, 9, seed=1)
    renderer.submit(other.job)
    assert other.over.wait(20) and len(backend.calls) == 6


def test_who_does_not_wait_for_the_head_has_no_hurry(backend, renderer):
    first, throttle, new = Heard(backend, 1), Heard(backend, 2, hurry=False), Heard(backend, 3)
    renderer.submit(first.job)
    until(lambda: backend.calls)
    renderer.submit(throttle.job)
    renderer.submit(new.job)
    backend.gate.release(20)
    for heard in (first, throttle, new):
        assert heard.over.wait(20)
    assert throttle.events == ["done"]
    heads = [labels for labels, window in backend.calls if window == HEAD]
    assert heads == [[1], [3], [2]]


def test_wishes_are_heads_rendered_last_and_dropped(backend, renderer):
    class Owner:
        pass

    owner = Owner()
    z = Heard(backend).z
    renderer.ahead(owner, backend, [(z, 10), (z, 11), (z, 12), (z, 13), (z, 14), (z, 15)])
    until(lambda: backend.calls)
    assert backend.calls == [([10, 11, 12, 13], HEAD)]
    real_note = Heard(backend, 40)
    renderer.submit(real_note.job)
    backend.let(1)
    assert backend.calls[1] == ([40], HEAD)  # before the other wishes
    renderer.ahead(owner, backend, [(z, 20)])
    backend.gate.release(20)
    assert real_note.over.wait(20)
    until(lambda: ([20], HEAD) in backend.calls)
    assert not any({14, 15} & set(labels) for labels, _ in backend.calls)
    wished = Heard(backend, 11)
    count = len(backend.calls)
    renderer.submit(wished.job)
    assert wished.events[:1] == ["begun"]
    assert wished.over.wait(20)
    assert HEAD not in [window for _, window in backend.calls[count:]]
    assert renderer.waiting == 0


def test_a_render_that_fails_is_told_and_the_next_one_works(backend, renderer):
    backend.broken = True
    bad = Heard(backend)
    renderer.submit(bad.job)
    backend.gate.release(20)
    assert bad.over.wait(20) and "no" in str(bad.events[0]) and len(bad.events) == 1
    assert renderer.waiting == 0
    backend.broken = False
    good = Heard(backend)
    renderer.submit(good.job)
    assert good.over.wait(20) and good.events == ["begun", "done"]


def test_a_rest_that_nobody_wants_is_not_rendered(backend, renderer):
    first, same, other = Heard(backend, 1), Heard(backend, 1), Heard(backend, 2)
    renderer.submit(first.job)
    until(lambda: backend.calls)
    renderer.submit(same.job)
    renderer.submit(other.job)
    first.wanted = other.wanted = False
    backend.let(2)  # both heads; a part of what is still wanted is in hand
    same.wanted = False
    backend.gate.release(20)
    for heard, ready in ((first, 64), (same, 64), (other, 8)):
        assert heard.over.wait(20) and heard.events == ["begun", "done"]
        assert heard.spectrum.ready == ready
    assert backend.calls == [([1], HEAD), ([2], HEAD), ([1], (8, 64))]
    assert renderer.waiting == 0
    again = Heard(backend, 1)  # goes on where it ended
    renderer.submit(again.job)
    assert again.events == ["begun"] and again.spectrum is None
    assert again.over.wait(20) and again.spectrum.ready == 128
    assert again.spectrum is first.spectrum  # in its own place
    assert backend.calls[3:] == [([1], (64, 128))]
    whole = backend.real.render(again.z[None], np.array([1]))[0]
    assert np.abs(again.spectrum.magnitude - whole.magnitude).max() < 1e-5 * whole.magnitude.max()


class Asked:
    """A request, and what came of it."""

    def __init__(self, renderer, backend, owner, label, window, seed=0, client="me") -> None:
        self.events: list[object] = []
        self.over = threading.Event()
        self.z = np.random.default_rng(seed).standard_normal(256).astype(np.float32)
        told = self._done, self._failed
        renderer.window(WindowRequest(client, owner, backend, self.z, label, window, *told))

    def _done(self, magnitude, increment):
        self.events.append((magnitude, increment))
        self.over.set()

    def _failed(self, why):
        self.events.append(why)
        self.over.set()


def test_the_latest_request_of_an_owner_counts(backend, renderer):
    busy = Heard(backend, 1)
    renderer.submit(busy.job)
    until(lambda: backend.calls)
    old, other, new = (
        Asked(renderer, backend, owner, label, (40, 48))
        for owner, label in (("a", 2), ("b", 3), ("a", 4))
    )
    gone = Asked(renderer, backend, "c", 5, (40, 48), client="gone")
    renderer.forget("gone")
    renderer.forget("nobody")
    backend.gate.release(20)
    assert new.over.wait(20) and other.over.wait(20) and busy.over.wait(20)
    assert not old.events and not gone.events
    asked = [labels for labels, window in backend.calls if window == (40, 48)]
    assert asked == [[4], [3]]  # the newer one has the turn of the older
    assert renderer.waiting == 0


def test_requests_go_together_after_heads_and_in_turns_with_rests(backend, renderer):
    backend.info = replace(backend.info, windows=3)
    first = Heard(backend, 1)
    renderer.submit(first.job)
    backend.let(1)  # its head is done and its rest in hand
    asked = [Asked(renderer, backend, n, n, (9, 17), seed=n) for n in range(4)]
    elsewhere = Asked(renderer, backend, "x", 9, (10, 18))
    new = Heard(backend, 2)
    renderer.submit(new.job)
    backend.gate.release(20)
    for waiter in (first, new, elsewhere, *asked):
        assert waiter.over.wait(20)
    assert backend.calls[2:7] == [
        ([2], HEAD),
        ([0, 1, 2], (9, 17)),
        ([2], (8, 64)),
        ([3], (9, 17)),
        ([1], (64, 128)),
    ]
    assert backend.calls[7] == ([9], (10, 18))


def test_clients_take_turns_with_their_requests(backend, renderer):
    busy = Heard(backend, 1)
    renderer.submit(busy.job)
    until(lambda: backend.calls)
    asked = [
        Asked(renderer, backend, (client, label), label, (40 + label, 48 + label), client=client)
        for client, labels in (("many", range(2, 8)), ("few", (20, 21)), ("one", (30,)))
        for label in labels
    ]
    backend.gate.release(30)
    for one in asked:
        assert one.over.wait(20)
    order = [labels[0] for labels, window in backend.calls if window[0] >= 40]
    assert [label for label in order if label != 1] == [2, 20, 30, 3, 21, 4, 5, 6, 7]


def test_requests_are_frames_of_the_whole_and_not_kept(real, backend, renderer):
    backend.gate.release(20)
    backend.info = replace(backend.info, windows=2)
    asked = [Asked(renderer, backend, n, n, (61, 69), seed=n) for n in range(2)]
    for n, request in enumerate(asked):
        assert request.over.wait(20)
        ((magnitude, increment),) = request.events
        whole = real.render(request.z[None], np.array([n]))[0]
        scale = whole.magnitude.max()
        assert np.abs(magnitude - whole.magnitude[61:69]).max() < 1e-5 * scale
        assert np.abs(increment - whole.increment[61:69]).max() < 2e-5
    calls = len(backend.calls)
    again = Asked(renderer, backend, 0, 0, (61, 69))
    assert again.over.wait(20) and len(backend.calls) == calls + 1


def test_a_request_that_fails_is_told_and_the_next_one_works(backend, renderer, caplog):
    backend.gate.release(20)
    nowhere = Asked(renderer, backend.real, "a", 1, (124, 132))
    assert nowhere.over.wait(20) and "no such frames" in str(nowhere.events[0])
    assert "failed" in caplog.text
    raises = WindowRequest("me", "b", backend, nowhere.z, 1, HEAD, lambda *frames: 1 / 0, print)
    renderer.window(raises)
    good = Asked(renderer, backend, "c", 1, HEAD)
    assert good.over.wait(20) and len(good.events[0]) == 2
    assert "division" in caplog.text


def test_too_many_at_once(backend, renderer, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    for label in range(2):
        renderer.submit(Heard(backend, label).job)
    with pytest.raises(UserError, match="fewer"):
        renderer.submit(Heard(backend, 5).job)
    backend.gate.release(20)


# places of the arena


def settled(arena, renderer, used):
    """Waits until the render thread has given back what it used."""
    renderer.finish()
    assert arena.count - arena.free == used


def test_a_note_uses_its_place_until_it_is_told_and_the_cache_after_it(backend, arena, renderer):
    backend.gate.release(100)
    seen = []
    heard = Heard(backend, 1)
    told = heard.job.done

    def begun(spectrum):
        seen.append((spectrum.slot, arena.uses(spectrum), spectrum.ready))

    def done(spectrum):
        arena.use(spectrum)
        seen.append(arena.uses(spectrum))
        told(spectrum)

    kept = replace(heard.job, begun=begun, done=done)
    renderer.submit(kept)
    assert heard.over.wait(20)
    renderer.finish()
    # the task; the task, the cache and this test
    assert seen == [(heard.spectrum.slot, 1, 8), 3]
    assert arena.uses(heard.spectrum) == 2 and arena.get(heard.spectrum.slot) is heard.spectrum
    again = Heard(backend, 1)
    renderer.submit(again.job)
    assert again.spectrum is heard.spectrum and arena.uses(heard.spectrum) == 2
    renderer.drop(backend)
    assert arena.uses(heard.spectrum) == 1
    arena.drop(heard.spectrum)
    settled(arena, renderer, 0)


def test_nothing_is_kept_where_nothing_shall_be(backend, arena):
    backend.gate.release(100)
    renderer = Renderer(arena, 0)
    try:
        renderer.ahead(backend, backend, [(Heard(backend).z, 3)])
        for _ in range(2):
            heard = Heard(backend, 1)
            renderer.submit(heard.job)
            assert heard.over.wait(20)
            settled(arena, renderer, 0)
        assert [labels for labels, _ in backend.calls] == 6 * [[1]]
    finally:
        renderer.stop()


def test_frames_are_told_of_before_the_jobs_are(backend, arena):
    events = []
    renderer = Renderer(arena, 32, lambda spectrum: events.append(spectrum.ready))

    def job(label):
        begun, done = (lambda _, what=what: events.append(what) for what in ("begun", "done"))
        return replace(Heard(backend, label).job, begun=begun, done=done)

    try:
        renderer.submit(job(1))
        backend.let(1)
        renderer.submit(job(1))  # its head is there
        assert events == [8, "begun", 8, "begun"]
        backend.gate.release(9)
        until(lambda: events.count("done") == 2)
        assert events[4:] == [64, 128, "done", "done"]
        renderer.submit(job(1))
        assert events[8:] == [128, "begun", "done"]
        renderer.ahead(events_owner := Heard(backend), backend, [(events_owner.z, 2)])
        backend.gate.release(9)
        until(lambda: len(events) == 12)
        renderer.finish()
        renderer.submit(job(2))
        assert events[11:14] == [8, 8, "begun"]
        until(lambda: events[-1] == "done")
    finally:
        renderer.stop()


def test_frames_that_are_told_of_never_become_fewer(backend, arena):
    backend.gate.release(10**6)
    told: dict[object, list[int]] = {}

    def on_frames(spectrum):
        told.setdefault(spectrum, []).append(spectrum.ready)

    def submit(heard, wait):
        time.sleep(wait)
        renderer.submit(heard.job)

    renderer = Renderer(arena, 32, on_frames)
    try:
        heard = [Heard(backend, label) for label in range(4) for _ in range(8)]
        threads = [
            threading.Thread(target=submit, args=(one, 0.005 * n)) for n, one in enumerate(heard)
        ]
        for thread in threads:
            thread.start()
        for thread, one in zip(threads, heard, strict=True):
            thread.join(20)
            assert one.over.wait(20) and one.events == ["begun", "done"]
        assert len(told) == 4
        assert all(ready == sorted(ready) and ready[-1] == 128 for ready in told.values())
        settled(arena, renderer, 4)
    finally:
        renderer.stop()


def test_where_all_places_sound_a_note_is_refused(backend):
    arena = Arena(SharedSpectra(2))
    renderer = Renderer(arena, 2)
    try:
        notes = [Heard(backend, label) for label in range(2)]
        for heard in notes:
            renderer.submit(replace(heard.job, done=lambda s, h=heard: (arena.use(s), h._done(s))))
        with pytest.raises(UserError, match=r"all 2 places .* sounding.*--cache-mb"):
            renderer.submit(Heard(backend, 2).job)
        same = Heard(backend, 1)
        renderer.submit(same.job)  # needs no other place
        backend.gate.release(100)
        for heard in notes:
            assert heard.over.wait(20)
        renderer.finish()
        assert renderer.waiting == 0 and same.over.is_set()
        with pytest.raises(UserError, match="2 places"):
            renderer.submit(Heard(backend, 2).job)
        arena.drop(notes[0].spectrum)  # it ends
        other = Heard(backend, 2)
        renderer.submit(other.job)
        assert other.over.wait(20) and other.spectrum.slot == notes[0].spectrum.slot
        assert arena.uses(notes[0].spectrum) == 0
        settled(arena, renderer, 2)
    finally:
        renderer.stop()


def test_prefetches_take_a_quarter_and_never_what_sounds(backend):
    backend.gate.release(10**6)
    arena = Arena(SharedSpectra(8))
    renderer = Renderer(arena, 8)
    owner, other, z = Heard(backend), Heard(backend), Heard(backend).z

    def heads():
        renderer.finish()
        time.sleep(2 * module.PREFETCH_DELAY_S)
        renderer.finish()
        return [label for labels, window in backend.calls for label in labels if window == HEAD]

    try:
        renderer.ahead(owner, backend, [(z, label) for label in range(10, 20)])
        until(lambda: arena.free == 6)
        assert heads() == [10, 11]  # those most likely
        renderer.ahead(owner, backend, [(z, 11), (z, 12), (z, 13)])
        assert heads() == [10, 11, 12] and arena.free == 6
        for who, label in ((owner, 21), (other, 23)):
            renderer.ahead(who, backend, [(z, label), (z, label + 1)])
            assert heads()[-2:] == [label, label + 1] and arena.free == 6
        sounding = []
        while (spectrum := arena.take()) is not None:
            sounding.append(spectrum)
        renderer.ahead(owner, backend, [(z, 31)])
        assert heads()[7:] == [31] and arena.free == 0  # in place of another head
        for label in (40, 41):
            heard = Heard(backend, label)
            renderer.submit(replace(heard.job, done=lambda s, h=heard: (arena.use(s), h._done(s))))
            assert heard.over.wait(20)
        before = heads()
        renderer.ahead(owner, backend, [(z, 51)])
        assert heads() == before and renderer.waiting == 0
        assert all(arena.uses(spectrum) == 1 for spectrum in sounding)
    finally:
        renderer.stop()


def test_a_render_that_fails_gives_its_place_back(backend, arena, renderer):
    backend.broken = True
    backend.gate.release(100)
    renderer.ahead(backend, backend, [(Heard(backend).z, 9)])
    for label in (1, 2):
        bad = Heard(backend, label)
        renderer.submit(bad.job)
        assert bad.over.wait(20)
    until(lambda: ([9], HEAD) in backend.calls)
    settled(arena, renderer, 0)


def test_a_callback_that_fails_costs_no_place_and_no_other_note(backend, arena, caplog):
    backend.gate.release(100)
    renderer = Renderer(arena, 0)
    try:
        bad, same, good = Heard(backend, 1), Heard(backend, 1), Heard(backend, 2)
        with renderer._wake:  # so that they go together
            for part in ("begun", "done"):
                job = replace(bad.job, **{part: lambda _: 1 / 0})
                renderer.submit(job)
            renderer.submit(same.job)
            renderer.submit(good.job)
        for heard in (same, good):
            assert heard.over.wait(20) and heard.events == ["begun", "done"]
        settled(arena, renderer, 0)
        assert caplog.text.count("ZeroDivisionError") == 2
    finally:
        renderer.stop()


def test_a_rest_goes_on_where_another_backends_slices_ended(backend, arena, renderer):
    backend.gate.release(100)
    heard = Heard(backend, 7)
    heard.wanted = False
    renderer.submit(heard.job)
    assert heard.over.wait(20) and heard.spectrum.ready == 8
    backend.info = replace(backend.info, slices=(Slice((0, 16), 1), Slice((16, 128), 1)))
    again = Heard(backend, 7)
    renderer.submit(again.job)
    assert again.over.wait(20) and again.spectrum.ready == 128
    assert backend.calls == [([7], HEAD), ([7], (8, 16)), ([7], (16, 128))]
    whole = backend.real.render(again.z[None], np.array([7]))[0]
    assert np.abs(again.spectrum.magnitude - whole.magnitude).max() < 1e-5 * whole.magnitude.max()


def test_frames_are_written_where_they_belong(real):
    z = np.random.default_rng(3).standard_normal((2, 256)).astype(np.float32)
    labels, arena = np.array([4, 50]), Arena(LocalSpectra())
    spectra = [arena.take() for _ in range(2)]
    for spectrum in spectra:
        spectrum.magnitude.fill(-1)
        spectrum.increment.fill(-1)
    real.live_into(z, labels, (8, 64), spectra)
    for spectrum, *parts in zip(spectra, *real.live(z, labels, (8, 64)), strict=True):
        assert spectrum.ready == 0
        for ours, theirs in zip((spectrum.magnitude, spectrum.increment), parts, strict=True):
            assert np.array_equal(ours[8:64], theirs)
            assert (ours[:8] == -1).all() and (ours[64:] == -1).all()


def test_prepare_cuts_a_note_into_slices():
    backend = Eager(fold(golden_rule.generator(golden_rule.TINY)), CPU)
    assert backend.info.precision == "float64"
    backend.prepare(golden_rule.TINY.latent_size)
    windows = [part.window for part in backend.info.slices]
    assert windows[0] == HEAD and windows[-1][1] == 128
    assert all(a[1] == b[0] for a, b in pairwise(windows))


# a note whose rest is late


@pytest.fixture(scope="module")
def whole(real):
    z = np.random.default_rng(5).standard_normal((1, 256)).astype(np.float32)
    return real.render(z, np.array([36]))[0]


def started(spectrum: Spectrum) -> tuple[Voices, Note]:
    bank = Voices(16000, 2)
    note = Note(0, 0, 60, 127, 60, spectrum=spectrum)
    bank.start(note)
    return bank, note


def partial(whole: Spectrum, frames: int) -> Spectrum:
    made = Spectrum.begin()
    made.magnitude.fill(np.nan)  # what must not be heard
    made.increment.fill(np.nan)
    made.extend(whole.magnitude[:frames], whole.increment[:frames])
    return made


def test_a_rest_in_time_leaves_no_seam(whole):
    bank, note = started(partial(whole, 8))
    same, _ = started(whole)
    first = bank.render(1000)[0]  # the voice reads 12 samples ahead
    note.spectrum.extend(whole.magnitude[8:40], whole.increment[8:40])
    second = bank.render(16000)[0]
    note.spectrum.extend(whole.magnitude[40:], whole.increment[40:])
    sound = np.concatenate([first, second, bank.render(47000)[0]])
    assert np.array_equal(sound, same.render(len(sound))[0])
    assert bank.late == note.late == 0


def test_a_late_rest_holds_the_last_frame_without_a_click(whole):
    bank, note = started(partial(whole, 8))
    sound = bank.render(8000)[0]  # half a second, of which 64 ms are there
    assert bank.late == note.late > 5
    note.spectrum.extend(whole.magnitude[8:], whole.increment[8:])
    late = note.late
    sound = np.concatenate([sound, bank.render(56000)[0]])
    assert note.late == late and bank.non_finite == 0
    assert np.isfinite(sound).all() and bank.sounding == 0
    same, _ = started(whole)
    expected = same.render(len(sound))[0]
    assert np.array_equal(sound[:1024], expected[:1024])
    assert np.abs(np.diff(sound, 2)).max() < 2 * np.abs(np.diff(expected, 2)).max()
    assert np.abs(sound[4000:8000]).max() > 0.1 * np.abs(expected).max()
