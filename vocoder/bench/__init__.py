"""Benchmarks: speed and error of every engine against the reference, and of training."""
