"""Training: one loop for all models, with its data, optimiser and checkpoints."""
