"""Tells people of what concerns them."""
