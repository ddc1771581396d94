"""Folders, the tree in each project."""
