"""What the functions that tell people share: the kinds of notifications, what they say, and where they go."""
