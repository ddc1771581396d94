"""Fetches what connected services hold, asks them what people ask of them, and revokes tokens."""
