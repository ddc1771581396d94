"""Pushes notifications to browsers (RFC 8030)."""
