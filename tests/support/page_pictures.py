"""Takes the pictures of docs/page.md: ``python -m tests.support.page_pictures``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.chromium import chromium
from tests.support.page import page_of
from tests.support.paths import ROOT
from tests.support.server import ServerProcess

FOLDER = ROOT / "docs" / "pictures"
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
COLOURS = 96
PATH = ((0.30, 0.62), (0.36, 0.70), (0.44, 0.66), (0.50, 0.55), (0.58, 0.50), (0.66, 0.58))
"""Places on the map, along which a chord is morphed."""


def take(browser: Any, url: str, name: str, **settings: Any) -> None:
    """Open the page, play a chord while its timbre moves, and save a picture of that."""
    context = browser.new_context(**settings)
    page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(1500)
    page.click("#start-button")
    page.wait_for_timeout(800)
    page.keyboard.down("a")
    page.keyboard.down("f")
    page.wait_for_timeout(400)
    page.keyboard.down("h")
    box = page.locator("#map").bounding_box()
    for step, (x, y) in enumerate(PATH):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=12)
        page.wait_for_timeout(150)
        if step == 0:
            page.mouse.down()
    page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(page.screenshot()))
    # a palette takes a third of the bytes
    picture.quantize(COLOURS).save(FOLDER / f"{name}.png", optimize=True)
    context.close()


def main() -> None:
    flags = ("--output", "none", "--page", "0")
    with ServerProcess(*flags) as server, chromium() as browser:
        url = page_of(server).url
        take(browser, url, "page", viewport=DESK)
        take(browser, url, "page-dark", viewport=DESK, color_scheme="dark")
        take(browser, url, "page-phone", viewport=PHONE, has_touch=True, is_mobile=True)
    for path in sorted(Path(FOLDER).glob("page*.png")):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
