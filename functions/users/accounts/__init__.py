"""Accounts and their administration."""
