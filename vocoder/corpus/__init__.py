"""Corpora: read folders of recordings, prepare them for training, write reports and load them."""
