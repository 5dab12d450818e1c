"""Model files: found by name, fetched, converted and kept."""
