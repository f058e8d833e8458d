"""Making a checkpoint: notes to learn from, the trainer, and how well it did."""
