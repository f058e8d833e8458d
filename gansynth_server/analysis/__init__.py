"""A recorded note → the latent whose notes are nearest to it."""
