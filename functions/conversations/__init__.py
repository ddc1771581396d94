"""Conversations, direct and in groups, and their messages."""
