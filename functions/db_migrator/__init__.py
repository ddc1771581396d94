"""Brings the schema to the newest version. Expand and contract only: the old code runs on until the new is live."""
