"""The event log as a feed: oldest first, each event once, none skipped."""
