"""Uvicorn's protocols with limits on size, time and number of connections."""
