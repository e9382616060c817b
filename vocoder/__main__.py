"""``python -m vocoder``, and so ``torchrun -m vocoder``."""

from vocoder.cli import main

main()
