"""Data sets of rendered notes, in shards that WebDataset and Hugging Face ``datasets`` read."""
