"""What the two stacks are made of; each does one job and is a page long."""
