"""The assistant: answers from what its user may read, as a stream, and proposes what it would do."""
