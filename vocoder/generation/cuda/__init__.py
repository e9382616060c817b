"""The engines on NVIDIA GPUs."""
