"""What several functions know of files: what they may be for, where their objects are, what is recorded of them."""
