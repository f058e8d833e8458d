"""Analysis of recorded and generated notes: segmentation, pitch, descriptors, spectral distance,
principal components, and inversion (the latent whose note is nearest to a recording)."""
