"""Voices on disk: manifest, weights, registry, export."""
