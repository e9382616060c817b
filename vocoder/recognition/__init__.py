"""Phoneme recognition with a WaveNet."""
