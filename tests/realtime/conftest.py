"""What the tests in real time share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pd_harness import require_pd
from tests.support.server import ServerProcess


@pytest.fixture(scope="session")
def pd_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of files that Pd's server reads and writes."""
    return tmp_path_factory.mktemp("pd_root")


@pytest.fixture(scope="session")
def pd_server(pd_root: Path) -> Iterator[ServerProcess]:
    """A server for Pd alone: a Pd that is ended leaves its notes behind."""
    require_pd()
    flags = ("--output", "none", "--precision", "float32", "--root", str(pd_root))
    with ServerProcess(*flags) as process:
        yield process
        assert process.process.poll() is None, process.errors


@pytest.fixture
def port(pd_server: ServerProcess) -> int:
    return pd_server.port
