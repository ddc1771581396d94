"""The audit trail and the feed: two ways to read one log."""
