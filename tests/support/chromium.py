"""A real Chromium, which the tests of the page drive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.packages import missing

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    # a page that is not looked at is slowed down, and no test's is
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser; skips or fails, by the rule for packages, where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing("Chromium", "chromium")
    from playwright.sync_api import sync_playwright

    # root has no sandbox
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
