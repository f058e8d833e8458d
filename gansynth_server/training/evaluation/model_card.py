"""Model card of a checkpoint, written from its config and its figures alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten
from typing import Any

from gansynth_server.analysis import acoustics
from gansynth_server.model.checkpoint import Checkpoint
from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.training.evaluation import table
from gansynth_server.training.evaluation.timbre_metrics import PATH_STEPS, PRESET_PITCHES

LICENCES = {
    "mit": r"\bMIT\b|Permission is hereby granted, free of charge",
    "cc-by-4.0": r"\bCC[- ]BY[- ]4|Creative Commons Attribution 4",
    "cc0-1.0": r"\bCC0\b",
}
"""Hugging Face's identifier of a licence → pattern of it in a data set's own words."""
PUBLIC_DOMAIN = re.compile(r"\bpublic domain\b", re.I)
"""Words of what has no licence; beside one they say where some samples were found."""
MAX_CHARACTERS = 400
"""Most characters of a value in a table."""
WEAK, PARTLY = 0.5, 0.8
"""Shares and rank correlations under which a checkpoint follows hardly, and only in part."""

DEFINITIONS = f"""\
How they are measured:

* The classifier is a small convolutional network on mel spectra, trained on the train split to
  tell pitch and instrument; the level of a note is hidden from it. Pitch entropy is the mean
  entropy of its posterior of the pitch; inception score and Fréchet distance (of its
  64-dimensional embedding, to the train split) are as in the GANSynth paper (Engel et al. 2019,
  section 4), but of this classifier: compare them with the real notes' own, not with other
  papers'.
* NDB is the share of 50 clusters (fewer for few notes) of the train split's log mel
  spectrograms in which the notes are represented otherwise than in the train split
  (two-proportion z-test at p = 0.05); notes of the same kind have about 0.05.
* pyin is librosa's, in steps of {acoustics.STEP} cents. It hears some instruments in another
  octave even when they are real, so the real notes' column is the one to compare with; it is
  "sure" at pitches where it is right on at least 95 % of the real notes that it was tried on.
* Attack is the time from 10 to 90 % of the envelope's peak (RMS over 20 ms). Silent is a peak
  under -50 dBFS, clipped one over 1, and noise a spectral flatness halfway from the flattest
  real notes to white noise.
* Phase coherence is the mean cosine of the change of the phase advance in 64 ms, weighted with
  the power: 1 for steady partials, less with vibrato, about 0.1 for random phases.
* Change of timbre is the distance of the spectral envelopes of one latent (one instrument) at
  neighbouring pitches, over that of different ones. Slerp paths are measured in the
  classifier's embedding, in {PATH_STEPS} steps: even ones have a longest step near the
  mean one."""


def text(checkpoint: Checkpoint, figures: Mapping[str, Any]) -> str:
    """Write the card in Markdown.

    Args:
        checkpoint: for its network, provenance and presets.
        figures: as :func:`evaluate` returns them.
    """
    parts = [
        _front_matter(figures["data"]),
        f"# {checkpoint.name}",
        "A generator of musical notes with the network of GANSynth (Engel et al. 2019), for "
        "gansynth-server.",
        _facts(checkpoint, figures["data"]),
        *_training(checkpoint.provenance),
        "## Figures",
        _figures(figures),
        DEFINITIONS,
        *_inversions(figures),
        "![real and generated notes](rainbowgrams.png)",
        "![pitch error](pitch_error.png)",
        "![confusion of pitches](confusion.png)",
        "## Limits",
        "\n".join(f"* {limit}" for limit in _limits(checkpoint.provenance, figures)),
        *_presets(checkpoint, figures["presets"]),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(data: Mapping[str, Any]) -> str:
    """Front matter in YAML: the licences of all sources; one without an identifier is ``other``."""
    about = data["about"]
    sources = about.get("sources") or [about]
    said = [str(source.get("licence", "")) for source in sources]
    found = list(dict.fromkeys(name for words in said for name in _licences(words)))
    lines = [f"license: {found[0] if len(found) == 1 else '[' + ', '.join(found) + ']'}"]
    without = [words for words in said if _licences(words) == ["other"]]
    if without and all(map(PUBLIC_DOMAIN.search, without)):
        lines.append("license_name: public-domain")
    return "\n".join(["---", *lines, "tags: [gansynth, audio, music]", "---"])


def _licences(said: str) -> list[str]:
    """Return Hugging Face's identifiers of the licences that a source names."""
    names = [name for name, words in LICENCES.items() if re.search(words, said, re.I)]
    return names or ["other"]


def _facts(checkpoint: Checkpoint, data: Mapping[str, Any]) -> str:
    config = checkpoint.config
    parameters = sum(value.numel() for value in checkpoint.generator.parameters())
    channels = ", ".join(map(str, config.filters))
    rows = {
        "network": f"{parameters:,} parameters; "
        + (f"channels {channels}" if channels else "no convolutions")
        + ("; a learnt bias per pitch" if config.pitch_bias else "")
        + (
            f"; per pitch {config.templates} spectral templates of magnitude and "
            f"{config.phase_templates} of phase"
            + (f", {config.onset_templates} of its onset" if config.onset_templates else "")
            if config.templates
            else ""
        )
        + (f"; reads {config.axes} axes of the latent" if config.axes else "")
        + (f"; its last image enlarged ×{config.upscale}" if config.upscale > 1 else ""),
        "output": f"{FRAMES} frames × {BINS} {config.representation} bins of log magnitude and "
        "instantaneous frequency: 4 s at 16 kHz",
        "latent": f"{config.latent_size} numbers from "
        + (
            f"round {config.centres} instruments' codes, up to {config.blend:.0%} of a second one, "
            f"noise {config.scatter:g}"
            if config.centres
            else "N(0, 1)"
        ),
        "pitches": f"MIDI {_range(config.pitches)}",
        "data": _data(data),
    }
    return _table(("", ""), rows.items())


def _data(data: Mapping[str, Any]) -> str:
    about = data["about"]
    said = [
        f"{data['notes']:,} notes, {data['instruments']} instruments, MIDI pitches "
        f"{_range(data['pitches'])}, velocities {', '.join(map(str, data['velocities']))}; "
        f"{data['held_out']} of them held out for the figures"
    ]
    if about.get("kind") == "soundfont":
        files = " ".join(font["file"] for font in about["soundfonts"])
        source = about.get("settings", {}).get("source")
        flag = f" --source {source}" if source else ""
        said.append(f"made by `gansynth dataset soundfont {files}{flag}`")
    for key in ("title", "licence"):
        if about.get(key):
            said.append(f"{key}: {_short(about[key])}")
    return "; ".join(said)


def _training(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Section on the training, of the whole provenance in the checkpoint's config."""
    if provenance:
        yield "## Training"
        yield "From the checkpoint's `config.json`:"
        yield _table(("", ""), _flat(provenance))


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        # the data have a row of their own, and a teacher has a card of its own
        if value is None or key in ("data", "teacher"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key} › ")
        elif isinstance(value, list) and len(value) > 8:
            yield f"{before}{key}", f"{len(value)} values"
        else:
            yield f"{before}{key}", f"{value:g}" if isinstance(value, float) else _short(value)


def _short(value: Any) -> str:
    """A value as one line for a cell of a table."""
    return shorten(str(value), MAX_CHARACTERS, placeholder=" …").replace("|", "\\|")


def _figures(figures: Mapping[str, Any]) -> str:
    intro = (
        f"Measured by `gansynth evaluate` on {figures['notes']} notes of each kind at the same "
        "pitches: the checkpoint at random latents, the held-out real notes, and those through "
        "the mel spectra and back, the best that a generator of such spectra can do."
    )
    return f"{intro}\n\n" + _table(("", *table.columns(figures)), table.lines(figures))


def _inversions(figures: Mapping[str, Any]) -> Iterator[str]:
    """Section on the inversions of held-out notes."""
    if found := figures.get("inversions"):
        seconds = figures["settings"]["inversion_seconds"]
        yield "## Own sounds"
        yield (
            f"`gansynth invert` looked for the latents of {len(found['each'])} held-out notes, "
            f"{seconds:g} s each:"
        )
        yield _table(("", ""), table.inversion_lines(figures))
        yield _table(
            ("note", "start", "found, dB", "nearest preset, dB", "nearest random, dB", "told"),
            (
                (
                    f"`{note['instrument']}` {note['pitch']}",
                    f"`{note['start']}`",
                    *(table.shown(note[k], ".2f") for k in ("distance", "preset", "random")),
                    note["told"] + (" ✓" if note["told"] == note["family"] else ""),
                )
                for note in found["each"]
            ),
        )


def _limits(provenance: Mapping[str, Any], figures: Mapping[str, Any]) -> Iterator[str]:
    """Limits of the checkpoint, one for each figure that shows one."""
    options = provenance.get("options", {})
    if "regression" in str(provenance.get("recipe")) or options.get("reconstruction") == 1:
        yield "It was trained by regression alone: no discriminator took part."
    if options.get("teacher"):
        yield f"It learnt from {options['teacher']}, whose faults it has too."
    if provenance.get("notes") == figures["data"]["notes"]:
        yield (
            "It was trained on all notes of the data, the held-out ones too: the comparison with "
            "them says how well they were learnt, not how it does on unheard ones."
        )
    mine, real = figures["rows"]["model"], figures["rows"]["real"]
    yield "Notes last four seconds at 16 kHz, so there is nothing above 8 kHz."
    held, ours = real["in_tune_sure"], mine["in_tune_sure"]
    if held is not None and ours is not None and ours < held - 0.02:
        yield f"Some notes are out of tune: {100 * (1 - ours):.0f} % where pyin is sure."
    for quality in ("brightness", "attack"):
        key = "centroid" if quality == "brightness" else quality
        follows = mine[f"{key}_rank_correlation"]
        if follows is not None and follows < PARTLY:
            how = "hardly follows" if follows < WEAK else "follows only in part"
            yield (
                f"The {quality} of the presets {how} that of the instruments "
                f"(rank correlation {follows:.2f})."
            )
    dull = real["treble_db"] - mine["treble_db"]
    if dull > 3:
        yield f"Notes have {dull:.0f} dB less power above 4 kHz than real ones."
    if mine["attack_ms"] is not None and mine["attack_ms"] > 1.5 * real["attack_ms"]:
        yield f"Attacks are soft: {mine['attack_ms']:.0f} ms against {real['attack_ms']:.0f} ms."
    if mine["ndb"] > 3 * max(real["ndb"], 0.05):
        yield (
            "Random latents do not give all kinds of notes in the proportions of the data: "
            f"{100 * mine['ndb']:.0f} % of the clusters differ."
        )
    variety, theirs = mine["inception_score_instrument"], real["inception_score_instrument"]
    if variety < 0.5 * theirs:
        yield (
            "Random latents are less different from each other than instruments are: inception "
            f"score {variety:.1f} against {theirs:.1f}."
        )
    told = mine["preset_instrument"]
    if told is not None and told < WEAK:
        yield f"The classifier takes only {100 * told:.0f} % of the presets for their instruments."
    bad = {key: mine[key] for key in ("silent", "clipped", "noise_only") if mine[key]}
    if bad:
        counts = ", ".join(f"{count} {key.replace('_', ' ')}" for key, count in bad.items())
        yield f"Of {figures['notes']} random notes some are faulty: {counts}."
    octaves = figures["pyin"]["octave_instruments"]
    if octaves:
        worst = sorted(octaves, key=lambda name: -octaves[name][0])[:8]
        yield (
            "pyin hears real notes of these instruments in another octave: "
            + ", ".join(f"{name} ({octaves[name][0]} of {octaves[name][1]})" for name in worst)
            + (" and others." if len(octaves) > len(worst) else ".")
        )


def _presets(checkpoint: Checkpoint, compared: Mapping[str, Any]) -> Iterator[str]:
    if not checkpoint.presets:
        return
    yield "## Presets"
    yield ", ".join(f"`{name}`" for name in checkpoint.presets) + "."
    if compared:
        yield (
            "Those named like instruments of the data, at MIDI pitches "
            f"{', '.join(map(str, PRESET_PITCHES))}, real against generated; most of these "
            "real notes were trained on. The distance is the mean difference in level after the "
            "loudness has been matched, as `gansynth invert` measures it:"
        )
        yield _table(
            ("preset", "distance, dB", "level correlation", "centroid, Hz", "attack, ms"),
            (
                (
                    f"`{name}`",
                    f"{found['distance_db']:.1f}",
                    f"{found['envelope_correlation']:.2f}",
                    " / ".join(table.shown(hertz, "d") for hertz in found["centroid_hz"]),
                    " / ".join(table.shown(time, "d") for time in found["attack_ms"]),
                )
                for name, found in compared.items()
            ),
        )


def _range(numbers: Sequence[int]) -> str:
    """Text of a range, as ``24 to 84``; all numbers if some between are missing."""
    if len(numbers) > 2 and len(numbers) == numbers[-1] - numbers[0] + 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _table(head: Sequence[str], rows: Any) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
