"""Samples and their files: read, write, resample, encode."""
