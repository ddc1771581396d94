"""The event log: one write, many readers."""
