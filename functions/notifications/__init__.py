"""What people are told of, and where they want to be told."""
