"""What tests of the trainer share: a soundfont's notes, tiny options, and runs that halt."""

import contextlib
from pathlib import Path

import pytest

from gansynth_server.training.dataset import Writer
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.sources import soundfont
from gansynth_server.training.train import train
from gansynth_server.training.watch import Watch
from tests.support.packages import missing

TINY = TrainOptions(
    config="mel_prog_tiny",
    stable_images=2,
    transition_images=2,
    total_images=28,
    batch=2,
    reconstruction_batch=4,
    device="cpu",
    sample_minutes=0,
    seed=3,
)


def soundfont_file() -> Path:
    """Debian's soundfont; the test is skipped without it, and fails in CI."""
    path = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")
    if not path.exists():
        missing("a soundfont", "fluidr3mono-gm-soundfont")
    return path


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """Twelve notes: a piano, an organ, a trumpet and a flute."""
    folder = tmp_path_factory.mktemp("data") / "notes"
    return soundfont.render(
        [soundfont_file()], folder, pitches=(57, 60, 69), programs=(0, 16, 56, 73)
    )


@contextlib.contextmanager
def interrupted_after(count):
    """Lets a Writer take so many notes, then interrupts it as Ctrl-C does."""
    add, taken = Writer.add, []

    def adds(self, *note):
        if len(taken) == count:
            raise KeyboardInterrupt
        taken.append(note)
        add(self, *note)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "add", adds)
        yield


class HaltError(Exception):
    pass


def train_part(monkeypatch, data, folder, options, steps: int) -> None:
    """A training that keeps itself and ends after so many steps."""
    plain = Watch.step
    left = [steps]

    def step(self, stage, losses):
        plain(self, stage, losses)
        left[0] -= 1
        if not left[0]:
            self.keep()
            raise HaltError

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "step", step)
        with pytest.raises(HaltError):
            train(data, folder, options)
