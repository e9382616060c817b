"""ASGI middleware: request context, body limit, authentication, rate limits, origins, draining."""
