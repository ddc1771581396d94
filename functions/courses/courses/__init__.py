"""Courses themselves: drafts, publishing, and the list that everybody may read."""
