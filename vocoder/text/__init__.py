"""Text to linguistic features: normalisation, sentences, pronunciation, phones and their context."""
