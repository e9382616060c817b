"""Text to linguistic features: normalisation, sentences, pronunciation, phones in context."""
