"""Settings of a training run: the one table of them and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gansynth_server.errors import UserError
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.spectral.normalizer import Representation

ConfigName = Literal[
    "mel_prog_hires", "linear_prog_hires", "mel_prog_lite", "mel_prog_tiny", "spectra"
]
Loss = Literal["wgan-gp", "non-saturating"]
Precision = Literal["float32", "bfloat16"]
Sources = Literal["all", "acoustic", "electronic", "synthetic"]

# fmap_base, fmap_max, latent_size, representation of each named network
_NETWORKS: dict[ConfigName, tuple[int, int, int, Representation]] = {
    "mel_prog_hires": (4096, 256, 256, "mel"),
    "linear_prog_hires": (4096, 256, 256, "linear"),
    "mel_prog_lite": (1024, 128, 256, "mel"),
    "mel_prog_tiny": (256, 16, 32, "mel"),
    "spectra": (0, 0, 256, "linear"),
}
SPECTRA: ConfigName = "spectra"
"""Network without convolutions (:mod:`gansynth_server.model.decoder`)."""


@dataclass(frozen=True)
class TrainOptions:
    """Settings of a run; ``gansynth train`` has a flag for each. The defaults are Magenta's."""

    config: ConfigName = "mel_prog_hires"
    """Network: Magenta's, the paper's with linear frequencies, about a tenth of it, a toy, or one
    without convolutions, which draws notes as sums of spectra."""
    fmap_base: int | None = None
    """Channels of block b are fmap_base / 2^b … (the config's if not given)"""
    fmap_max: int | None = None
    """… but at most this many."""
    upscale: Literal[1, 2] = 1
    """2 leaves out the block of the highest resolution: less than half the time per note."""
    pitch_bias: bool = False
    """Learn a [2, 1024] bias per pitch before the last tanh, started at the data's mean."""
    templates: int = 0
    """Learn so many spectra of magnitude per pitch, which a timbre is drawn with …"""
    phase_templates: int = 16
    """… and so many of phase, where there are any of magnitude."""
    onset_templates: int = 12
    """Of spectra: so many complex ones per pitch for the phases of the first frames, the attack."""
    curves: int = 56
    """Of spectra: functions of time that their levels are made of."""
    principal_levels: int = 256
    """Of spectra: principal components of the levels, which the perceptron computes."""
    level_epochs: int = 160
    """Of spectra: times that all notes are seen while levels and timbre codes are learnt."""
    mixtures: float = 0.25
    """Of spectra: part of the examples that are mixtures of two instruments' notes."""
    wave_minutes: float = 12.0
    """Of spectra: processor time in which all is tuned by the sound of the notes at last."""
    blend: float = 0.3
    """Of spectra: largest share of a second instrument in a random latent …"""
    scatter: float = 0.3
    """… and the standard deviation of the noise in it."""
    sources: Sources = "all"
    """Kind of instruments to learn."""

    minutes: float | None = None
    """Time for all stages, shared out between them; if not given, images count."""
    stable_images: int = 800_000
    """Images at each resolution."""
    transition_images: int = 800_000
    """Images while a resolution fades in."""
    total_images: int = 11_000_000
    """Images at the end of the last stage."""
    batch: int = 8
    """Images per step and device."""
    learning_rate: float = 8e-4
    """Adam's, of generator and discriminator."""
    ema_decay: float = 0.999
    """Decay per step of the moving average of the generator, which is what is kept."""
    loss: Loss = "wgan-gp"
    """Magenta's, or the non-saturating loss with R1, which costs less than half a step."""
    penalty: float | None = None
    """Weight of the gradient penalty; 10 for wgan-gp, 1 for R1 in normalised units."""
    judge_first: int = 0
    """Images at the start of adversarial training from which the discriminator alone learns."""

    reconstruction: float = 0.0
    """Part of the run, 0 to 1, that begins it by regression on the notes (1 on CPU)."""
    reconstruction_batch: int = 12
    """Notes per step of it."""
    reconstruction_rate: float = 3e-3
    """Adam's learning rate at its start; it falls to 0 along a cosine."""
    coarse: float = 0.08
    """Part of it spent on magnitudes of 32×256 alone."""
    window_rows: int = 12
    """Rows of the 32-row image that a step renders at full resolution (of 32)."""
    band_weight: float = 5.0
    """Weight of the error of band powers against that of single magnitudes."""
    code_size: int = 16
    """Axes of the latent that carry the timbre of the data's instruments."""
    code_noise: float = 0.25
    """Standard deviation of the noise on an instrument's code."""
    teacher: str | None = None
    """Checkpoint whose notes a smaller network learns; it lends its axes, bias and templates."""
    taught: float = 0.5
    """Part of each batch that is its notes at random latents; the others are the data's."""

    start: str | None = None
    """Checkpoint whose weights (and discriminator, if kept) a new run begins with."""
    precision: Precision = "float32"
    """Precision of convolutions; bfloat16 where the hardware multiplies it faster."""
    channels_last: bool = True
    """Memory order of images; faster on CPUs and tensor cores."""
    compile: bool = False
    """torch.compile; needs a C++ compiler and a minute or more to begin."""
    cache_gb: float = 6.0
    """Memory on the training's device for spectra that were made once."""
    device: str = "auto"
    """cpu, cuda, cuda:1 …; auto takes a GPU where there is one."""
    keep_minutes: float = 10.0
    """Time between two savings of the run."""
    sample_minutes: float = 10.0
    """Time between two grids of notes, drawn and written as sound; 0 for none but the last."""
    seed: int = 0
    """Seed of weights, noise and order."""

    def __post_init__(self) -> None:
        if not 0 <= self.reconstruction <= 1:
            raise UserError(f"--reconstruction is a part, 0 to 1, not {self.reconstruction:g}")
        if not 4 <= self.window_rows <= 32:
            raise UserError(f"--window-rows is 4 to 32, not {self.window_rows}")
        if self.minutes is not None and not self.minutes > 0:
            raise UserError(f"--minutes must be more than 0, not {self.minutes:g}")
        if min(self.batch, self.reconstruction_batch, self.code_size) < 1:
            raise UserError("batches and --code-size must be at least 1")
        if self.templates < 0 or (self.templates and self.phase_templates < 1):
            raise UserError("--templates must be at least 0, --phase-templates at least 1")
        if min(self.curves, self.onset_templates, self.principal_levels, self.level_epochs) < 1:
            raise UserError(
                "--curves, --onset-templates, --principal-levels and --level-epochs must be at "
                "least 1"
            )
        if not all(0 <= share <= 1 for share in (self.mixtures, self.blend, self.scatter)):
            raise UserError("--mixtures, --blend and --scatter are parts, 0 to 1")
        if self.config == SPECTRA and not self.templates:
            raise UserError("--config spectra needs --templates, 128 for example")
        if self.config == SPECTRA and (self.pitch_bias or self.teacher):
            raise UserError("--config spectra has no --pitch-bias and no --teacher")
        if not 0 <= self.taught <= 1:
            raise UserError(f"--taught is a part, 0 to 1, not {self.taught:g}")
        if self.teacher and not self.reconstruction:
            raise UserError("a --teacher teaches by regression: give --reconstruction too")
        if self.teacher and (self.templates or self.pitch_bias):
            raise UserError("--templates and --pitch-bias are the --teacher's: leave them out")
        fitted = self.reconstruction or self.start or self.config == SPECTRA
        if self.templates and not fitted:
            raise UserError("--templates are fitted by regression: give --reconstruction too")

    @property
    def judge_features(self) -> int:
        """Number of channels of the discriminator's last layer."""
        base, most, _, _ = _NETWORKS[self.config]
        return min(self.fmap_base or base, self.fmap_max or most)

    def network(self, pitches: tuple[int, ...]) -> GeneratorConfig:
        """Return the config of the generator to train, for the pitches of the data."""
        base, most, latent_size, representation = _NETWORKS[self.config]
        if self.config == SPECTRA:
            return GeneratorConfig(
                latent_size=latent_size,
                axes=min(self.code_size, latent_size),
                pitches=pitches,
                filters=(),
                templates=self.templates,
                phase_templates=self.phase_templates,
                curves=self.curves,
                onset_templates=self.onset_templates,
                principal_levels=self.principal_levels,
                representation=representation,
                blend=self.blend,
                scatter=self.scatter,
            )
        blocks = 8 - self.upscale
        return GeneratorConfig(
            latent_size=latent_size,
            pitches=pitches,
            filters=progressive_filters(self.fmap_base or base, self.fmap_max or most, blocks),
            upscale=self.upscale,
            pitch_bias=self.pitch_bias,
            templates=self.templates,
            phase_templates=self.phase_templates if self.templates else 0,
            axes=min(self.code_size, latent_size) if self.reconstruction else 0,
            representation=representation,
        )
