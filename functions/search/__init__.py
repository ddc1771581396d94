"""One search over everything the caller may read."""
