"""Divisions and who belongs to them."""
