"""Agents: who works on contacts."""
