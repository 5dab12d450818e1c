"""The processes inside hosts. Each can also be run by hand: python -m nodes.device --help."""
