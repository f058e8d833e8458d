"""``gansynth invert``, wrongly asked."""

import pytest

from gansynth_server import cli
from tests.support.sounds import file_of, harmonic_tone


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("said", ["cannot be read", "24 to 84"])
def test_the_command_says_what_is_wrong(tmp_path, said):
    path = tmp_path / "note.wav"
    if said != "cannot be read":
        path.write_bytes(file_of(harmonic_tone(60)))
    with pytest.raises(SystemExit, match=said):
        cli.main(["invert", str(path), "--pitch", "99"])
