"""``gansynth map``, wrongly asked."""

import pytest

from gansynth_server import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--latents 3", "16 to 30000"),
        ("--discoveries -1", "--discoveries must be"),
        ("-o map.svg", ".png or .json"),
        ("--pitches 10", "pitch"),
    ],
)
def test_what_is_wrong_is_said(arguments, said):
    with pytest.raises(SystemExit, match=said):
        cli.main(["map", "all_instruments", *arguments.split()])
