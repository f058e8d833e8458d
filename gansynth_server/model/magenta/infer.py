"""Infers the config of a network that Magenta's code trained.

Sizes come from the shapes of the tensors, the rest from ``experiment.json``;
what neither says is assumed to be as in Magenta's ``mel_prog_hires`` and noted.
"""

from __future__ import annotations

from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.magenta.stage import Source, step_of
from gansynth_server.spectral.normalizer import Normalizer

GENERATOR = "Generator/progressive_gan_generator/"
BLOCK = "progressive_gan_block_{}/"
HEAD = "Discriminator/discriminator_cond/classification_logits"
EMA = "/ExponentialMovingAverage"
KERNEL = f"{GENERATOR}{BLOCK}conv0/conv2d/kernel{EMA}"
PLAYABLE: dict[str, Any] = {
    "data_type": "mel",
    "g_fn": "specgram",
    "scale_mode": "ALL",
    "scale_base": 2,
    "simple_arch": False,
    "to_rgb_activation": "tanh",
    "kernel_size": 3,
    "sample_rate": 16000,
    "audio_length": 64000,
    "data_normalizer": "specgrams_prespecified_normalizer",
}
"""Settings that the tensors do not show, with the only values that this server plays."""
NORMALIZER = {
    "mag_normalizer_a": "magnitude_a",
    "mag_normalizer_b": "magnitude_b",
    "p_normalizer_a": "phase_a",
    "p_normalizer_b": "phase_b",
}


def infer_config(
    source: Source, lowest_pitch: int | None = None, latent_size: int | None = None
) -> GeneratorConfig:
    """Infer the config of a stage's network.

    Args:
        source: an opened stage; what is assumed is added to its notes.
        lowest_pitch: MIDI number of the first label, where that is not known.
        latent_size: of z, where neither a discriminator nor settings tell it.

    Raises:
        UserError: it is another model, has no moving averages, cannot be
            played by this server, or its pitches are unknown.
    """
    names = source.bundle.entries
    tensors = [name for name in names if name.startswith(GENERATOR)]
    if not tensors:
        raise UserError(
            f"{source.bundle.prefix} is a checkpoint of another model: it holds no {GENERATOR[:-1]}"
        )
    if not any(name.endswith(EMA) for name in tensors):
        raise UserError(
            f"{source.bundle.prefix} has no moving averages ({EMA[1:]}), which notes are made "
            "with; use a checkpoint that training saved"
        )
    _check_playable(source)
    blocks = 1
    while KERNEL.format(blocks + 1) in names:
        blocks += 1
    shapes = [source.shape(KERNEL.format(b)) for b in range(1, blocks + 1)]
    if any(len(shape) != 4 for shape in shapes):
        raise UserError(f"{source.bundle.prefix} has kernels that no GANSynth has")
    height, width, inputs, _ = shapes[0]
    latent, labels = _split_inputs(source, inputs, latent_size)
    tall, wide = (size * 2 ** (blocks - 1) for size in (height, width))
    if not tall or not wide or 128 % tall or 128 // tall * wide != 1024:
        raise UserError(
            f"{source.bundle.prefix} makes spectra of {tall}×{wide}, and this server plays "
            "128×1024 alone"
        )
    progress = _progress(source, blocks)
    given = {
        name: source.number(key, getattr(Normalizer(), name)) for key, name in NORMALIZER.items()
    }
    config = GeneratorConfig(
        latent_size=latent,
        pitches=_pitches(source, labels, lowest_pitch),
        filters=tuple(shape[3] for shape in shapes),
        start=(height, width),
        normalizer=Normalizer(**given),
        upscale=128 // tall,
        progress=None if progress == blocks - 1 else progress,
    )
    return GeneratorConfig.from_dict(config.to_dict())


def _check_playable(source: Source) -> None:
    missing = []
    for key, value in PLAYABLE.items():
        if key not in source.settings:
            missing.append(f"{key} {value}")
        elif source.settings[key] != value:
            raise UserError(
                f"{source.bundle.prefix} was trained with {key} {source.settings[key]!r}, and "
                f"this server plays {value!r} alone"
            )
    if source.settings:
        source.notes += missing


def _split_inputs(source: Source, inputs: int, given: int | None) -> tuple[int, int]:
    """Latent size and number of pitches, whose sum is the number of input channels."""
    head = source.bundle.entries.get(f"{HEAD}/dense/kernel")
    setting = source.settings.get("latent_vector_size")
    if head is not None and len(head.shape) == 2:
        labels = head.shape[1]
        latent = inputs - labels
        if setting not in (None, latent):
            raise UserError(
                f"{source.bundle.prefix} takes {inputs} inputs, more than its latent ({setting}) "
                f"and its {labels} pitches: other conditions than pitch are not known here"
            )
    else:
        latent = int(source.number("latent_vector_size", 0)) if given is None else given
        labels = inputs - latent
        if not latent or labels < 1:
            raise UserError(
                f"{source.bundle.prefix} does not tell how many of its {inputs} inputs are "
                "pitches; give --latent-size (Magenta's is 256)"
            )
        source.notes.append(f"{labels} pitches, for the latent has {latent} of {inputs} inputs")
    return latent, labels


def _pitches(source: Source, labels: int, lowest: int | None) -> tuple[int, ...]:
    """MIDI numbers of the labels, ascending."""
    if lowest is not None:
        if not 0 <= lowest <= 128 - labels:
            raise UserError(f"{labels} pitches from {lowest} up are not all MIDI notes")
        return tuple(range(lowest, lowest + labels))
    if len(source.pitches) == labels:
        return tuple(source.pitches)
    if labels == 61:
        source.notes.append("its 61 pitches are Magenta's, 24 to 84")
        return tuple(range(24, 85))
    least, most = (source.settings.get(f"train_{end}_pitch") for end in ("min", "max"))
    if isinstance(least, int) and isinstance(most, int) and most - least + 1 == labels:
        source.notes.append(f"its {labels} pitches are {least} to {most}")
        return tuple(range(least, most + 1))
    raise UserError(
        f"{source.bundle.prefix} has {labels} pitches and does not say which; give the lowest "
        "one with --lowest-pitch, or lay the training's meta.json beside the stage folder"
    )


def _progress(source: Source, blocks: int) -> float:
    """Progress of the growth, 0…blocks-1, as the training computes it from its step."""
    if source.settings.get("train_progressive") is False or source.stage % 2 == 0:
        return blocks - 1
    if source.settings.get("train_time_limit") is not None:
        source.notes.append("the newest block is wholly faded in, for training went by time")
        return blocks - 1
    stable = source.number("stable_stage_num_images", 800_000)
    fading = source.number("transition_stage_num_images", 800_000)
    seen = min(max(step_of(source), 0), blocks * stable + (blocks - 1) * fading - 1)
    rounds, rest = divmod(seen, max(stable + fading, 1))
    return float(min(rounds + max(0.0, (rest - stable) / max(fading, 1)), blocks - 1))
