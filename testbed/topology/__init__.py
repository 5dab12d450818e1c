"""Topologies: the reading of Mininet declarations, with or without Mininet."""
