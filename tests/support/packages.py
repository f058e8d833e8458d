"""Debian packages that tests need."""

import os
from typing import NoReturn

import pytest


def missing(what: str, package: str) -> NoReturn:
    """Skips the test that needs what is missing; on CI, which must install it, the test fails."""
    why = f"needs {what} (Debian, Ubuntu: apt install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
