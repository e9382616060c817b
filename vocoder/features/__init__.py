"""Acoustic features: log-mel, F0, harmonics, and the feature file with its fingerprint."""
