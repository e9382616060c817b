"""Training: one loop, its data, its optimisation and its checkpoints in progress."""
