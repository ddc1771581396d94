"""What came of campaigns, and what agents have done: figures to read, to compute with, or to look at."""
