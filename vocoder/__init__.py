"""A neural text-to-speech vocoder: a conditional WaveNet, its engines and its training."""

__version__ = "0.7.0"
