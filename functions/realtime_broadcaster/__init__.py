"""What happened reaches those who are connected and may see it."""
