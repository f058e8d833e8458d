"""The cache is the arena: what was used last stays, as long as no note needs the place."""

from __future__ import annotations

import pytest

from gansynth_server.render.spectrum_cache import SpectrumCache
from gansynth_server.spectral.arena import Arena, SharedSpectra

NET, OTHER = "a backend", "another"


def key(n, backend=NET):
    return backend, bytes([n]), 0


@pytest.fixture
def arena():
    return Arena(SharedSpectra(8))


def put(cache, arena, *numbers, ready=128, backend=NET):
    """Spectra that only the cache uses."""
    made = []
    for n in numbers:
        spectrum = cache.allocate()
        spectrum.ready = ready
        cache.put(key(n, backend), spectrum)
        arena.drop(spectrum)
        made.append(spectrum)
    return made


def kept(cache):
    return [n for n in range(100) if key(n) in cache]


def test_it_is_bounded_and_keeps_what_was_used_last(arena):
    cache = SpectrumCache(arena, 3)
    spectra = put(cache, arena, 0, 1, 2)
    assert len(cache) == 3 and arena.free == 5
    assert cache.get(key(0)) is spectra[0] and cache.get(key(9)) is None
    put(cache, arena, 3)
    assert kept(cache) == [0, 2, 3] and arena.free == 5
    assert arena.uses(spectra[0]) == 1 and arena.uses(spectra[1]) == 0


def test_the_same_again_is_one_use(arena):
    cache = SpectrumCache(arena, 3)
    (spectrum,) = put(cache, arena, 0)
    cache.put(key(0), spectrum)
    assert arena.uses(spectrum) == 1 and len(cache) == 1
    (new,) = put(cache, arena, 0)
    assert cache.get(key(0)) is new and arena.free == 7


def test_nothing_is_kept_where_nothing_may_be(arena):
    cache = SpectrumCache(arena, 0)
    put(cache, arena, 0, 1)
    assert not len(cache) and arena.free == 8
    assert cache.allocate_head() is None and arena.free == 8


def test_a_note_takes_the_place_of_what_only_the_cache_uses(arena):
    cache = SpectrumCache(arena, 8)
    spectra = put(cache, arena, *range(8))
    arena.use(spectra[0])  # it sounds
    cache.get(key(1))
    new = cache.allocate()
    assert new.slot == spectra[2].slot and new.ready == 0
    assert kept(cache) == [0, 1, 3, 4, 5, 6, 7]
    sounding = [cache.allocate() for _ in range(6)]
    assert None not in sounding and kept(cache) == [0]
    assert cache.allocate() is None and kept(cache) == [0]
    arena.drop(spectra[0])
    assert cache.allocate().slot == spectra[0].slot and not len(cache)


def test_heads_take_a_quarter_of_the_places(arena):
    cache = SpectrumCache(arena, 8)
    assert cache.heads == 2 and SpectrumCache(arena, 1).heads == 1
    for n in range(4):
        head = cache.allocate_head()
        head.ready = 8
        cache.put(key(n), head)
        arena.drop(head)
    assert kept(cache) == [2, 3]
    for n in (2, 3):
        arena.use(cache.get(key(n)))
    assert cache.allocate_head() is None and arena.free == 6
    arena.drop(cache.get(key(2)))
    cache.get(key(3)).ready = 128  # it has become whole
    assert cache.allocate_head(besides=1) is not None  # in place of head 2
    assert kept(cache) == [3]
    assert cache.allocate_head(besides=2) is None


def test_a_backend_is_forgotten(arena):
    cache = SpectrumCache(arena, 8)
    sounding, _ = put(cache, arena, 0, 1)
    put(cache, arena, 2, backend=OTHER)
    arena.use(sounding)
    cache.drop(NET)
    assert len(cache) == 1 and key(2, OTHER) in cache
    assert arena.uses(sounding) == 1 and arena.free == 6
