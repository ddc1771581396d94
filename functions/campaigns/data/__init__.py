"""Contacts, and what agents did about them."""
