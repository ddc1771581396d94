"""Conversations: starting, naming and removing them; what in them is unread."""
