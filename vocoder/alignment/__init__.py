"""Aligning recordings with their transcripts."""
