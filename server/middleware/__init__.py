"""ASGI middleware: request context, body limit, API keys, rate limits, origins, draining."""
