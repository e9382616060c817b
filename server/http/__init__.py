"""What the HTTP routes share: bodies, audio responses, server-sent events, caching."""
