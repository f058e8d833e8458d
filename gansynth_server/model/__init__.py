"""GANSynth's networks, checkpoints, and the reader of Magenta's checkpoints."""
