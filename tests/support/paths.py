"""Where the project's files are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
PATCHES = ROOT / "patches"
PD = Path(__file__).parent / "pd"
