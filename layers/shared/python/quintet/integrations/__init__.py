"""Services people connect: which there are, how their secrets are kept, and the queue that what is asked goes to."""
