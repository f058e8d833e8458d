"""Evaluation of a checkpoint: GANSynth's metrics and others, beside those of real notes."""

from gansynth_server.training.evaluation.evaluate import EvaluateOptions, evaluate

__all__ = ["EvaluateOptions", "evaluate"]
