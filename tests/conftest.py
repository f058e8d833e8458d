"""Settings that all tests share."""

from hypothesis import settings

from tests.support.real_time import pytest_pyfunc_call
from tests.support.training_runs import small_data

__all__ = ["pytest_pyfunc_call", "small_data"]

# shared machines are slow at times; that is no finding
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
