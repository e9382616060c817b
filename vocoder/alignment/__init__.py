"""Forced alignment of recordings with their transcripts."""
