"""Campaigns themselves."""
