"""Words as phonemes: lexicon, part-of-speech tagging, letter-to-sound rules."""
