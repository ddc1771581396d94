"""Courses, their lessons, and who takes them."""
