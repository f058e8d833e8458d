"""Memory that processes share, and that nothing is left of when they are killed."""

from __future__ import annotations

import contextlib
import math
import mmap
import multiprocessing.context
import os
import sys
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gansynth_server.errors import UserError

BLOCK = bytes(1 << 20)


class Fence(threading.local):
    """Keeps what is written, and read, before a call before what is written, and read, after it.

    Processors other than x86 may show another process a counter before the numbers that it counts.
    A lock's release is ordered after all before it, its acquisition before all after it, and these
    two stay in this order. Each thread has a lock of its own: nothing ever waits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def __call__(self) -> None:
        self._lock.release()
        self._lock.acquire()


class SharedMemory:
    """Anonymous memory, zero at first, that spawned processes get as an argument.

    It has no name in any file system: a descriptor (on Windows a handle) is passed on, so the
    system frees it with the last process that has it, however that ends.

    Args:
        size: bytes, at least 1.

    Raises:
        UserError: there is no room for it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.remark: str | None = None
        """A line for the user, where a file had to stand in for memory."""
        if sys.platform == "win32":
            self._handle: Any = f"gansynth-{uuid.uuid4()}"
        else:
            self._handle = self._descriptor()
        self._attach()

    def array(
        self, shape: tuple[int, ...], dtype: DTypeLike = np.float32, offset: int = 0
    ) -> NDArray[Any]:
        """Return a view of a part of the memory, ``offset`` bytes from its beginning."""
        # unlike np.ndarray, np.frombuffer keeps the map from being closed under the array
        return np.frombuffer(self._map, dtype, math.prod(shape), offset).reshape(shape)

    def close(self) -> None:
        """Give this process's share back, or leave that to the last view; once or more."""
        self._close_handle()
        with contextlib.suppress(BufferError):  # there are views
            self._map.close()

    def __getstate__(self) -> dict[str, Any]:
        multiprocessing.context.assert_spawning(self)
        if sys.platform == "win32":
            handle: Any = self._handle
        else:
            from multiprocessing.reduction import DupFd

            handle = DupFd(self._handle)
        return {"size": self.size, "remark": self.remark, "handle": handle}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.size, self.remark, handle = state["size"], state["remark"], state["handle"]
        self._handle = handle if sys.platform == "win32" else handle.detach()
        self._attach()

    def _attach(self) -> None:
        self._close_handle: Callable[[], object] = lambda: None
        try:
            if sys.platform == "win32":
                self._map = mmap.mmap(-1, self.size, tagname=self._handle)
            else:
                # kept for processes that are started later; the map has a duplicate
                self._close_handle = weakref.finalize(self, os.close, self._handle)
                self._map = mmap.mmap(self._handle, self.size)
        except OSError as error:
            raise _no_room(self.size, "memory", error) from error

    def _descriptor(self) -> int:
        # memfd_create is not bounded by the size of /dev/shm, which is 64 MB in most containers
        if hasattr(os, "memfd_create"):
            try:
                return _sized(os.memfd_create("gansynth"), self.size)
            except OSError as error:
                self.remark = (
                    f"there is no shared memory ({error.strerror}): "
                    f"a file in {tempfile.gettempdir()} stands in for it"
                )
        return _unlinked_file(self.size)


def _sized(descriptor: int, size: int) -> int:
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unlinked_file(size: int) -> int:
    """Return the descriptor of a temporary file without a name, all of it on the disk."""
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            _fill(file.fileno(), size)
            return os.dup(file.fileno())
    except OSError as error:
        raise _no_room(size, tempfile.gettempdir(), error) from error


def _fill(descriptor: int, size: int) -> None:
    # a hole that cannot be filled later would end the process that writes to it by SIGBUS
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    while size > 0:  # macOS
        size -= os.write(descriptor, BLOCK[:size])


def _no_room(size: int, place: str, error: OSError) -> UserError:
    return UserError(
        f"there is no room for {size / 2**20:.0f} MB in {place} ({error.strerror}): "
        "make some, or lower --cache-mb"
    )
