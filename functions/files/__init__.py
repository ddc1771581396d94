"""Folders, uploads and downloads."""
