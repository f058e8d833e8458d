"""Settings and fixtures that all tests share."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import settings

from tests.support import page, scales
from tests.support.client import Client
from tests.support.real_time import pytest_pyfunc_call
from tests.support.server import ServerProcess
from tests.support.tiny import checkpoints, tiny
from tests.support.training_runs import small_data

__all__ = ["checkpoints", "pytest_pyfunc_call", "small_data", "tiny"]

# shared machines are slow at times; that is no finding
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

FOLDERS = ("realtime", "system", "training")
"""Folders whose tests are marked by their names."""


def pytest_configure() -> None:
    # two workers whose threads wait for each other are slower than one
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parent.name
        if folder in FOLDERS:
            item.add_marker(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ServerProcess.started:
        terminalreporter.write_line(f"servers started: {ServerProcess.started}")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of files that the shared server reads and writes."""
    folder = tmp_path_factory.mktemp("root")
    at = np.arange(16000) / 16000
    soundfile.write(folder / "horn.wav", 0.5 * np.sin(2 * np.pi * 261.6 * at), 16000)
    (folder / "pyth.scl").write_text(scales.PYTHAGOREAN)
    (folder / "white.KBM").write_text(scales.WHITE_KEYS)
    (folder / "latin.scl").write_bytes("für Elise\n1\n3/1\n".encode("latin-1"))
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.fixture(scope="session")
def server(root: Path) -> Iterator[ServerProcess]:
    """The server of all tests that need no flags of their own, and neither end nor stop it.

    Each test talks to it by clients of its own, and leaves it silent.
    """
    flags = ["--output", "none", "--precision", "float32", "--root", str(root), "--oscquery", "0"]
    if find_spec("prometheus_client") is not None:
        flags += ["--metrics", "0"]
    flags += page.FLAGS
    with ServerProcess(*flags) as process:
        yield process
        assert process.process.poll() is None, process.errors


@pytest.fixture
def peer(server: ServerProcess) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(server.port) as client:
        yield client
    assert server.process.poll() is None, server.errors


@pytest.fixture(scope="module")
def no_complaints(server: ServerProcess) -> Iterator[None]:
    """Fail if the shared server writes a line to stderr during a module's tests, but for what
    clients were told by /fail."""
    before = len(server.complaints)
    yield
    assert server.complaints[before:] == []
