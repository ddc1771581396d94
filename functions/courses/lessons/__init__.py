"""Lessons, and who is done with them."""
