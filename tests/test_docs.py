"""What the README and the wheel promise."""

import subprocess
import sys
import zipfile

from gansynth_server.osc.table import TABLE, markdown
from tests.support.paths import ROOT


def test_the_readmes_table_is_the_one_table():
    text = (ROOT / "README.md").read_text()
    shown = text.split("<!-- messages: written by `gansynth messages` -->\n")[1]
    assert shown.split("<!-- end of messages -->")[0] == markdown()


def test_every_row_explains_itself():
    for row in TABLE:
        assert row.help
        assert row.address.startswith("/")


def test_the_wheel_carries_checkpoints_and_patches(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        *(
            f"checkpoints/{checkpoint}/{file}"
            for checkpoint in ("all_instruments", "acoustic_only", "all_instruments_lite")
            for file in ("model.safetensors", "README.md", "presets.json", "map.npz")
        ),
        "patches/gansynth~.pd",
        "patches/gansynth~-help.pd",
        "page/static/index.html",
        "page/static/player-worklet.js",
        "py.typed",
    ):
        assert f"gansynth_server/{name}" in names
    assert wheel.stat().st_size < 100e6
