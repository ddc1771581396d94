"""The manifest on one machine: `python -m infra.local`. No Docker, no account, nothing to start before."""
