"""`make bench` (`python -m tests.load`): what things cost, as ratios inside one run."""
