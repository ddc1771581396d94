"""Who takes part in a conversation, and how far they have read."""
