"""Browsers that are pushed to."""
