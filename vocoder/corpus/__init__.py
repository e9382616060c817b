"""Corpora: read a folder of recordings, prepare it for training, report on it, load it again."""
