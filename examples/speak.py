"""Speak a text into a file.

python examples/speak.py [TEXT] [OUT.wav]
"""

import sys

import vocoder

text = sys.argv[1] if len(sys.argv) > 1 else "Dr. Smith paid $3.50 on 3 January 2021."
path = sys.argv[2] if len(sys.argv) > 2 else "speech.wav"

voice = vocoder.load("arctic")
samples = voice.speak(text, speaker="slt", seed=1)
voice.save(path, samples)
print(f"{path}: {len(samples) / voice.sample_rate_hz:.2f} s")
