"""Shared by the HTTP routes: request bodies, audio responses, server-sent events, caching."""
