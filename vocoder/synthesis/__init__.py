"""Text or features to audio, for one listener or many."""
