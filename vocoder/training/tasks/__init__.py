"""What can be trained: the vocoder, the acoustic model, the recogniser."""
