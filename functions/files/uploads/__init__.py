"""Uploads: how files get in."""
