"""Accounts, their administration, roles and divisions."""
