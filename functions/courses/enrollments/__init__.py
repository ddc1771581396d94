"""Who takes a course, and who waits for a seat."""
