"""Mininet topologies, one to a file; each also works with `mn --custom FILE --topo NAME`."""
