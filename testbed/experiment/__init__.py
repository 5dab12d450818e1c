"""Runs of a scenario: launcher, sandboxes, nodes, methods, one generation after another."""
