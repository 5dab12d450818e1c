"""Where the prompts of a scenario come from; one source per file, found by its key in reader.py."""
