"""Sign-in by a provider: GitHub, Google."""
