"""A person's data, to take away."""
