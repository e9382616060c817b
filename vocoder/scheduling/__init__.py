"""Continuous batching: many streams that share one engine."""
