"""Services that people connect."""
