"""Files that are there: read, rename, move, delete."""
