"""Exports: all of a person's data as one archive, streamed into S3."""
