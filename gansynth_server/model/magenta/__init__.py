"""Reads Magenta's checkpoints without TensorFlow."""
