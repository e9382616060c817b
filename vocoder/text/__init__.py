"""Text to linguistic features: normalisation, sentence splitting, pronunciation, phone context."""
