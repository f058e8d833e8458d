"""Scores that are written and rendered by tests."""

import json

import numpy as np

from gansynth_server.offline.score import Score
from gansynth_server.offline.score_file import read
from gansynth_server.util.sandbox import SandboxedFolder


def write(path, *events, setting=None):
    lines = [{"setting": setting}] if setting else []
    lines += [{"time": time, "message": list(words)} for time, words in events]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def sound(path, models, seconds=None, root=None, **changes):
    setting, events = read(path)
    score = Score(setting.but("", changes), models, SandboxedFolder(root), seconds)
    return np.concatenate(list(score.play(events)), axis=1)
