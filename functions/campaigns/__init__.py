"""Campaigns, the agents assigned to them, and their contacts."""
