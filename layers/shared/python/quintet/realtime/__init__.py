"""What reaches people who are connected, and who is."""
