"""Webhooks: events sent to addresses of whoever subscribed."""
