"""Training tasks: the vocoder, the acoustic model and the recogniser."""
