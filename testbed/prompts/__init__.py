"""Sources of a scenario's prompts, one per file; reader.py finds each by its key."""
