"""Each minute: what should be on a queue and is not, is sent to it; tallies are merged."""
