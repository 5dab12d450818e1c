"""The processes that run inside hosts; each runs alone too: python -m nodes.device --help."""
