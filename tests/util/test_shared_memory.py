"""Memory that processes share: the same on both sides, whatever it is made of, and never left."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gansynth_server.errors import UserError
from gansynth_server.util import shared_memory
from gansynth_server.util.shared_memory import SharedMemory

SPAWN = multiprocessing.get_context("spawn")


def double(memory: SharedMemory) -> None:
    whole = memory.array((4, 1000))
    whole[1] = 2 * whole[0]


def refuse(*_: object) -> int:
    raise OSError(38, "Function not implemented")


@pytest.fixture(params=["memory", "file", "macOS"])
def memory(request, monkeypatch):
    if request.param != "memory":
        monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    if request.param == "macOS":
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    made = SharedMemory(16000)
    assert (made.remark is not None) == (request.param == "file")
    yield made
    made.close()


def test_two_processes_after_another_write_what_is_read_here(memory):
    whole = memory.array((4, 1000))
    assert whole.dtype == np.float32 and not whole.any()
    for n in (1, 2):
        whole[0] = n
        process = SPAWN.Process(target=double, args=(memory,))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        assert (whole[1] == 2 * n).all() and not whole[2:].any()
    assert (memory.array((1000,), offset=4000) == 4).all()
    memory.array((2,), np.int64, 8)[:] = -1
    assert np.isnan(whole[0, 2:6]).all() and whole[0, 6] == 2


def test_it_goes_with_the_last_view(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    before = descriptors()
    made = SharedMemory(1 << 20)
    view = made.array((4,))
    assert str(tmp_path) in made.remark and not list(tmp_path.iterdir())
    made.close()
    made.close()
    view[:] = 3
    assert view.sum() == 12
    del view, made
    assert descriptors() == before
    SharedMemory(1 << 20)  # forgotten, and not closed
    assert descriptors() == before


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


def test_without_room_the_user_hears_what_to_lower(monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    monkeypatch.setattr(shared_memory, "_fill", full)
    with pytest.raises(UserError, match=r"no room for 5 MB in .*No space left.*--cache-mb"):
        SharedMemory(5 << 20)


def test_it_is_for_processes_that_are_spawned():
    made = SharedMemory(8)
    with pytest.raises(RuntimeError, match="inheritance"):
        pickle.dumps(made)
