"""Audio samples and files: read, write, resample, encode."""
