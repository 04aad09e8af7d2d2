"""One declared schema per exported table."""
