"""``python -m vocoder``, and so ``torchrun -m vocoder``."""

from vocoder.cli.app import main

main()
