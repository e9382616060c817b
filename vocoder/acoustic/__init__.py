"""Phones to sound: the aligner that finds phones in recordings, and the acoustic model."""
