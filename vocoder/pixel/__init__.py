"""Autoregressive models of images, and of spectrograms, whose rows are frames."""
