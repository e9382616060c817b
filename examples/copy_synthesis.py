"""Copy a recording: analyse it, then generate it anew from its features.

python examples/copy_synthesis.py [IN.wav] [OUT.wav]
"""

import sys
from pathlib import Path

import vocoder

example = Path(__file__).parent.parent / "tests" / "assets" / "speech" / "slt_arctic_a0090.flac"
recording = sys.argv[1] if len(sys.argv) > 1 else example
path = sys.argv[2] if len(sys.argv) > 2 else "copy.wav"

voice = vocoder.load("arctic")
features = voice.analyze(recording)
samples = voice.vocode(features, speaker="slt", seed=1)
voice.save(path, samples)
print(f"{path}: {features.frames} frames, {len(samples) / voice.sample_rate_hz:.2f} s")
