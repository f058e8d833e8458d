"""``gansynth hallucinate``."""

import numpy as np
import pytest
import soundfile

from gansynth_server import cli


def test_the_command_writes_sound_and_sequence(tmp_path):
    sound, again, score = (tmp_path / name for name in ("a.wav", "b.wav", "a.json"))
    times = "--spacing 0.2 --attack 0.05 --sustain 0.1 --release 0.1 --rate 16000".split()
    rest = ["--notes", "2", "--steps", "1", "--pitches", "60", "64.5", "--seed", "3", *times]
    cli.main(["hallucinate", "-o", str(sound), "--save", str(score), *rest])
    cli.main(["hallucinate", "-o", str(again), "--load", str(score), "--rate", "16000"])
    first, rate = soundfile.read(sound)
    assert rate == 16000 and first.shape[1] == 2 and len(first) >= 0.65 * rate
    assert np.abs(first).max() > 0.01
    assert np.array_equal(first, soundfile.read(again)[0])  # the same to the sample
    for bad in ([], ["-o", str(sound), "--notes", "0"], ["-o", str(sound), "--sustain", "9"]):
        with pytest.raises(SystemExit, match=r"\w+"):
            cli.main(["hallucinate", *bad])
