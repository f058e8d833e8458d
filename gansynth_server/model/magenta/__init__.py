"""Reading Magenta's checkpoints without TensorFlow."""
