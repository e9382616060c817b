"""Incremental generation from ring buffers: state, noise, engines and their dispatch."""
