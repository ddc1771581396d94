"""Checks each uploaded object and makes its file ready or rejected; removes those of deleted files."""
