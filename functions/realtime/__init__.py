"""The WebSocket API: who connects, and what their clients send."""
