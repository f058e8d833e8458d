"""Hallucinations in scores."""

import json

import numpy as np
import soundfile

from gansynth_server import cli
from gansynth_server.offline import score as play
from gansynth_server.offline.score_file import read
from gansynth_server.render.models import Models
from gansynth_server.util.sandbox import SandboxedFolder


def test_a_score_plays_the_same_sound(tmp_path):
    times = ["--spacing", "0.3", "--attack", "0.05", "--sustain", "0.2", "--release", "0.1"]
    alone, score = tmp_path / "a.wav", tmp_path / "a.jsonl"
    cli.main(["hallucinate", "-o", str(alone), "--notes", "4", "--steps", "2", *times])
    lines = [
        {"time": 0.5, "message": ["/hallucinate", 4, 2, 0.3, 0, 0.05, 0.2, 0.1, 0]},
        {"time": 4.0, "message": ["/hallucinate", 4, 2, 0.3, 0, 0.05, 0.2, 0.1, 1]},
        {"time": 6.0, "message": ["/hallucinate/stop"]},
    ]
    score.write_text("\n".join(map(json.dumps, lines)))
    cli.main(["render", str(score), "-o", str(tmp_path / "b.wav")])
    first, rate = soundfile.read(alone, dtype="float32")
    both, _ = soundfile.read(tmp_path / "b.wav", dtype="float32")
    start, size = rate // 2, round(3.05 * rate)
    assert not both[:start].any()
    assert np.abs(first[:size]).max() > 0.01
    assert np.abs(both[start : start + size] - first[:size]).max() < 1e-6
    assert 6.05 * rate < len(both) < 6.5 * rate  # the second one was stopped


def test_an_end_sounds_the_same_however_early_it_is_dealt_with(tmp_path, monkeypatch):
    lines = [
        {"time": 0.5, "message": ["/hallucinate", 2, 1, 0.2, 0, 0.1, 0.1, 0.1, 7]},
        {"time": 0.9375, "message": ["/hallucinate/stop"]},
        {"time": 1.0, "message": ["/hallucinate", 3, 5, 0.2, 0, 0.1, 0.3, 0.1, 7]},
        {"time": 1.5, "message": ["/allnotesoff"]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    setting, events = read(tmp_path / "a.jsonl")
    models, sounds = Models(), []
    for lead in (0.0, 0.25, 1.0):
        monkeypatch.setattr("gansynth_server.offline.score_file.LEAD", lead)
        blocks = play.Score(setting, models, SandboxedFolder(None)).play(events)
        sounds.append(np.concatenate(list(blocks), axis=1))
    assert np.abs(sounds[0]).max() > 0.01
    assert 1.55 < sounds[0].shape[1] / setting.rate < 1.7
    for other in sounds[1:]:
        assert np.abs(other - sounds[0]).max() < 1e-6
