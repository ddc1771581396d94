"""What several functions know of tasks: who may change which, where they stand, how one is made."""
