"""The arena: a place has one note at a time, and is free after its last use and not before."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import weakref

import numpy as np
import pytest

from gansynth_server.spectral.arena import Arena, LocalSpectra, SharedSpectra

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["shared", "local"])
def arena(request):
    return Arena(SharedSpectra(3) if request.param == "shared" else LocalSpectra())


def test_a_place_is_free_after_its_last_use(arena):
    one, other = arena.take(), arena.take()
    assert one.slot != other.slot and (one.ready, one.region) == (0, None)
    assert one.magnitude.shape == one.increment.shape == (128, 1024)
    assert one.nbytes == 1 << 20 and one.magnitude.dtype == np.float32
    assert not np.shares_memory(one.magnitude, one.increment)
    assert arena.free == arena.count - 2 and arena.get(one.slot) is one
    arena.use(one)
    assert (arena.uses(one), arena.uses(other)) == (2, 1)
    arena.drop(one)
    assert arena.uses(one) == 1 and arena.free == arena.count - 2
    one.ready, one.region = 128, (1.0, 2.0)
    arena.drop(one)
    assert arena.uses(one) == 0 and arena.free == arena.count - 1
    with pytest.raises(KeyError):
        arena.get(one.slot)
    again = arena.take()
    assert again is not one and again.slot == one.slot
    assert (again.ready, again.region, arena.uses(again), arena.uses(one)) == (0, None, 1, 0)


def test_nothing_is_counted_below_zero_nor_for_the_next_note(arena):
    one = arena.take()
    arena.drop(one)
    for call in (arena.drop, arena.use):
        with pytest.raises(ValueError, match="any more"):
            call(one)
    next_one = arena.take()
    with pytest.raises(ValueError, match="any more"):
        arena.drop(one)  # whose place is another's
    assert arena.uses(next_one) == 1
    with pytest.raises(ValueError, match="any more"):
        arena.drop(arena.spectra.spectrum(next_one.slot))  # not the object that was taken


def test_none_is_left_when_all_are_in_use():
    arena = Arena(SharedSpectra(3))
    taken = [arena.take() for _ in range(3)]
    assert arena.free == 0 and arena.take() is None
    assert sorted(spectrum.slot for spectrum in taken) == [0, 1, 2]
    arena.drop(taken[1])
    assert arena.take().slot == 1


def test_places_that_were_used_are_taken_first():
    arena = Arena(SharedSpectra(1000))
    for _ in range(5):
        two = arena.take(), arena.take()
        assert {spectrum.slot for spectrum in two} == {0, 1}
        for spectrum in two:
            arena.drop(spectrum)


def test_local_places_have_no_bound_and_give_their_memory_back():
    arena = Arena(LocalSpectra())
    taken = [arena.take() for _ in range(50)]
    assert len({spectrum.slot for spectrum in taken}) == 50
    same = arena.spectra.spectrum(taken[7].slot)
    taken[7].magnitude[3] = 5
    assert (same.magnitude[3] == 5).all()  # the engine's view, in the same process
    gone = weakref.ref(taken[0].magnitude.base)
    arena.drop(taken.pop(0))
    gc.collect()
    assert gone() is None


def test_threads_count_together():
    arena = Arena(SharedSpectra(8))
    kept = arena.take()

    def work() -> None:
        for _ in range(2000):
            arena.use(kept)
            mine = arena.take()
            if mine is not None:
                arena.drop(mine)
            arena.drop(kept)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert arena.uses(kept) == 1 and arena.free == 7


def fill(spectra: SharedSpectra, slot: int) -> None:
    spectra.spectrum(slot).extend(np.full((8, 1024), 2, np.float32), np.full((8, 1024), 3))


def test_another_process_writes_into_a_place_and_no_other():
    spectra = SharedSpectra(3)
    process = SPAWN.Process(target=fill, args=(spectra, 1))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    one = spectra.spectrum(1)
    assert (one.magnitude[:8] == 2).all() and (one.increment[:8] == 3).all()
    assert not one.magnitude[8:].any() and not one.increment[8:].any() and one.ready == 0
    assert not any(spectra.spectrum(n).magnitude.any() for n in (0, 2))


def test_it_knows_its_own_places():
    spectra, other, local = SharedSpectra(2), SharedSpectra(2), LocalSpectra()
    assert spectra.holds(spectra.spectrum(1))
    assert not spectra.holds(other.spectrum(1)) and not spectra.holds(local.spectrum(1))
    for slot in (-1, 2):
        with pytest.raises(IndexError):
            spectra.spectrum(slot)
    spectra.close()
