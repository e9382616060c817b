"""Play a text while it is generated: raw PCM (16 bit, mono, 16 kHz) on standard output.

python examples/stream.py [TEXT] | aplay -t raw -f S16_LE -c 1 -r 16000
python examples/stream.py [TEXT] | ffplay -f s16le -ar 16000 -i -
"""

import sys

import numpy as np

import vocoder

text = sys.argv[1] if len(sys.argv) > 1 else "It speaks while it thinks. You hear it at once."

voice = vocoder.load("arctic")
for chunk in voice.stream(text, speaker="kathleen", seed=1):
    if chunk.text:
        print(chunk.text, file=sys.stderr)
    pcm = np.clip(np.rint(chunk.samples * 32768), -32768, 32767).astype("<i2")
    sys.stdout.buffer.write(pcm.tobytes())
    sys.stdout.buffer.flush()
