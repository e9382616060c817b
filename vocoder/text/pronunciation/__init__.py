"""Words to phonemes: lexicon, part-of-speech tagging, grapheme-to-phoneme model."""
