"""The manifest stood up on one machine: `python -m infra.local`. No Docker, no account, nothing running before."""
