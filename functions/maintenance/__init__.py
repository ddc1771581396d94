"""Each day, as the schema's owner: partitions ahead and archived, expired rows removed, the signing key rotated."""
