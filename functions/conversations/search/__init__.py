"""Looking for words in everything the caller may read."""
